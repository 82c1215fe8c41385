//! Published signing keys (RFC 7517): fetched when a token needs one, kept for an hour, and
//! looked for again, not all the time, when a token names one that is not there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::jwk::{Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};
use serde_json::{Map, Value};

use crate::http::{Http, HttpError};

/// A key that was taken back is believed no longer than this.
const MAX_AGE: TimeDelta = TimeDelta::hours(1);
/// A set is not fetched again sooner than this because of a key that it does not have.
const REFETCH_AFTER: TimeDelta = TimeDelta::seconds(60);
/// One that could not be fetched is tried again after this.
const RETRY_AFTER: TimeDelta = TimeDelta::seconds(5);
/// While its address does not answer, a set is used for this long.
const MAX_STALE: TimeDelta = TimeDelta::hours(24);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a signature is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignatureError {
    /// Not a JWT that could be checked, or an algorithm that is not allowed.
    Malformed,
    /// It fits none of the published keys.
    Signature,
    /// The keys could not be fetched.
    Keys(HttpError),
}

/// Signing keys that were fetched, by address; one per instance.
#[derive(Default)]
pub struct KeySets(Mutex<HashMap<String, Arc<KeySet>>>);

#[derive(Default)]
struct KeySet {
    known: Mutex<Known>,
    /// Held by whoever fetches; the others wait for what comes.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    keys: Vec<Jwk>,
    fetched: Option<DateTime<Utc>>,
    tried: Option<DateTime<Utc>>,
}

impl KeySets {
    /// The claims of a token that one of the keys at `uri` has signed with one of these
    /// algorithms. The claims themselves are the caller's to check.
    pub async fn claims(
        &self,
        http: &Http,
        uri: &str,
        token: &str,
        allowed: &[Algorithm],
        now: DateTime<Utc>,
    ) -> Result<Map<String, Value>, SignatureError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| SignatureError::Malformed)?;
        // A token must not bring its own key (RFC 8725 section 3.10), nor demand what we do not know.
        let brings_key = header.jwk.is_some() || header.jku.is_some() || header.x5u.is_some();
        if brings_key || header.crit.is_some() || !allowed.contains(&header.alg) {
            return Err(SignatureError::Malformed);
        }
        let wanted = Wanted {
            kid: header.kid.as_deref(),
            algorithm: header.alg,
        };
        let jwk = self.find(http, uri, &wanted, now).await?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| SignatureError::Signature)?;
        // Which algorithm a key is for is said by its type, never by the token.
        if key.family() != family(header.alg) {
            return Err(SignatureError::Signature);
        }
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        jsonwebtoken::decode(token, &key, &validation)
            .map(|token| token.claims)
            .map_err(|_| SignatureError::Signature)
    }

    async fn find(
        &self,
        http: &Http,
        uri: &str,
        wanted: &Wanted<'_>,
        now: DateTime<Utc>,
    ) -> Result<Jwk, SignatureError> {
        let set = self.set(uri);
        if let Some(key) = set.find(wanted, now, MAX_AGE) {
            return Ok(key);
        }
        let _fetching = set.fetching.lock().await;
        if let Some(key) = set.find(wanted, now, MAX_AGE) {
            return Ok(key);
        }
        if !set.may_fetch(now) {
            let known = set.known().fetched.is_some();
            return set.find(wanted, now, MAX_STALE).ok_or(match known {
                true => SignatureError::Signature,
                false => SignatureError::Keys(HttpError::Unreachable),
            });
        }
        match fetch(http, uri).await {
            Ok(keys) => {
                *set.known() = Known {
                    keys,
                    fetched: Some(now),
                    tried: None,
                };
                set.find(wanted, now, MAX_AGE)
                    .ok_or(SignatureError::Signature)
            }
            Err(error) => {
                set.known().tried = Some(now);
                set.find(wanted, now, MAX_STALE)
                    .ok_or(SignatureError::Keys(error))
            }
        }
    }

    fn set(&self, uri: &str) -> Arc<KeySet> {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match sets.get(uri) {
            Some(set) => set.clone(),
            None => sets.entry(uri.to_owned()).or_default().clone(),
        }
    }
}

impl KeySet {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, wanted: &Wanted<'_>, now: DateTime<Utc>, age: TimeDelta) -> Option<Jwk> {
        let known = self.known();
        known.fetched.filter(|fetched| now - *fetched < age)?;
        wanted.select(&known.keys).cloned()
    }

    fn may_fetch(&self, now: DateTime<Utc>) -> bool {
        let known = self.known();
        let since = |at: Option<DateTime<Utc>>, least| at.is_none_or(|at| now - at >= least);
        since(known.fetched, REFETCH_AFTER) && since(known.tried, RETRY_AFTER)
    }
}

/// The key that a token asks for.
struct Wanted<'a> {
    kid: Option<&'a str>,
    algorithm: Algorithm,
}

impl Wanted<'_> {
    /// By key id; a token without one is accepted only where there is no choice.
    fn select<'k>(&self, keys: &'k [Jwk]) -> Option<&'k Jwk> {
        let mut fitting = keys.iter().filter(|key| self.fits(key));
        match self.kid {
            Some(kid) => fitting.find(|key| key.common.key_id.as_deref() == Some(kid)),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }

    /// Whether a key may be used for this at all, by its own word.
    fn fits(&self, key: &Jwk) -> bool {
        let own = &key.common;
        let name = own.key_algorithm.map(|algorithm| algorithm.to_string());
        name.is_none_or(|name| name == format!("{:?}", self.algorithm))
            && !matches!(&own.public_key_use, Some(use_) if *use_ != PublicKeyUse::Signature)
            && own
                .key_operations
                .as_ref()
                .is_none_or(|operations| operations.contains(&KeyOperations::Verify))
    }
}

fn family(algorithm: Algorithm) -> AlgorithmFamily {
    match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => AlgorithmFamily::Ec,
        Algorithm::EdDSA => AlgorithmFamily::Ed,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => AlgorithmFamily::Hmac,
        _ => AlgorithmFamily::Rsa,
    }
}

async fn fetch(http: &Http, uri: &str) -> Result<Vec<Jwk>, HttpError> {
    let request = http::Request::get(uri)
        .body(Vec::new())
        .map_err(|_| HttpError::Malformed)?;
    let answer = http.send(request, TIMEOUT).await?;
    if answer.status != 200 {
        return Err(HttpError::Interrupted);
    }
    // A set may hold keys of kinds we do not know: those are left out, not fatal.
    let mut body: Value =
        serde_json::from_slice(&answer.body).map_err(|_| HttpError::Interrupted)?;
    match body.get_mut("keys").map(Value::take) {
        Some(Value::Array(keys)) => Ok(keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(key).ok())
            .collect()),
        _ => Err(HttpError::Interrupted),
    }
}
