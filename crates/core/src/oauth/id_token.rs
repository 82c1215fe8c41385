//! id_tokens (OpenID Connect Core section 3.1.3.7): who the account is.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use grantkeep_providers::Definition;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use crate::http::{Http, HttpError};
use crate::oauth::key_sets::{KeySets, SignatureError};
use crate::secret::{AccessToken, IdToken, Nonce};

/// Clocks may differ by this much, in seconds.
const SKEW: i64 = 60;
/// Both hash with SHA-256, as `at_hash` is read.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];

/// Why an id_token is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdTokenError {
    /// Not a JWT that we could check, or an algorithm that is not allowed.
    #[error("the id_token is malformed or uses an algorithm that is not allowed")]
    Malformed,
    /// The signature does not fit any key of the provider.
    #[error("the id_token is not signed by the provider")]
    Signature,
    /// A claim is missing or wrong; the field names it.
    #[error("the id_token's claim {0} is wrong")]
    Claim(&'static str),
    /// The provider's keys could not be fetched.
    #[error("the provider's signing keys {0}")]
    Keys(HttpError),
}

impl From<SignatureError> for IdTokenError {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Malformed => Self::Malformed,
            SignatureError::Signature => Self::Signature,
            SignatureError::Keys(error) => Self::Keys(error),
        }
    }
}

/// What an id_token has to agree with.
pub struct Expected<'a> {
    /// `aud` must contain it.
    pub client_id: &'a str,
    /// `nonce` must equal it, where one was sent.
    pub nonce: Option<&'a Nonce>,
    /// `at_hash`, where there is one, must be of it.
    pub access_token: &'a AccessToken,
    /// The time now.
    pub now: DateTime<Utc>,
}

/// The claims of a token that passed every check. The signature is checked where the
/// provider's keys are known; else the TLS connection to the token endpoint vouches
/// for it, as section 3.1.3.7 (6) allows.
pub async fn verify(
    http: &Http,
    keys: &KeySets,
    definition: &Definition,
    token: &IdToken,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, IdTokenError> {
    let claims = match &definition.jwks_uri {
        Some(uri) => {
            let token = token.expose();
            let claims = keys
                .claims(http, uri, token, &ALGORITHMS, expected.now)
                .await?;
            check_token_hash(&claims, expected.access_token)?;
            claims
        }
        None => unchecked(token)?,
    };
    check(&claims, definition, expected)?;
    Ok(claims)
}

/// The claims of a token without a look at its signature; `None` when it is malformed or
/// another issuer's.
pub fn claims_of_issuer(definition: &Definition, token: &IdToken) -> Option<Map<String, Value>> {
    let claims = unchecked(token).ok()?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    issuer_fits(text("iss"), text("tid"), definition).then_some(claims)
}

fn unchecked(token: &IdToken) -> Result<Map<String, Value>, IdTokenError> {
    jsonwebtoken::dangerous::insecure_decode::<Map<String, Value>>(token.expose())
        .map(|token| token.claims)
        .map_err(|_| IdTokenError::Malformed)
}

fn check(
    claims: &Map<String, Value>,
    definition: &Definition,
    expected: &Expected<'_>,
) -> Result<(), IdTokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).map(|t| t as i64);
    let now = expected.now.timestamp();

    if !issuer_fits(text("iss"), text("tid"), definition) {
        return Err(IdTokenError::Claim("iss"));
    }
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audiences.contains(&expected.client_id) {
        return Err(IdTokenError::Claim("aud"));
    }
    let azp = text("azp");
    if (audiences.len() > 1 && azp.is_none()) || azp.is_some_and(|azp| azp != expected.client_id) {
        return Err(IdTokenError::Claim("azp"));
    }
    if time("exp").is_none_or(|exp| exp <= now - SKEW) {
        return Err(IdTokenError::Claim("exp"));
    }
    if time("iat").is_some_and(|iat| iat > now + SKEW) {
        return Err(IdTokenError::Claim("iat"));
    }
    if let Some(nonce) = expected.nonce {
        let given = text("nonce").unwrap_or_default();
        if verify_slices_are_equal(given.as_bytes(), nonce.expose().as_bytes()).is_err() {
            return Err(IdTokenError::Claim("nonce"));
        }
    }
    match text("sub") {
        Some(sub) if !sub.is_empty() => Ok(()),
        _ => Err(IdTokenError::Claim("sub")),
    }
}

/// OpenID Connect Core section 3.1.3.6: the access token came with this id_token. Both
/// algorithms that are allowed hash with SHA-256.
fn check_token_hash(
    claims: &Map<String, Value>,
    access_token: &AccessToken,
) -> Result<(), IdTokenError> {
    let Some(given) = claims.get("at_hash") else {
        return Ok(());
    };
    let hash = digest(&SHA256, access_token.expose().as_bytes());
    let (half, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    match given.as_str() == Some(&URL_SAFE_NO_PAD.encode(half)) {
        true => Ok(()),
        false => Err(IdTokenError::Claim("at_hash")),
    }
}

/// Exact, in one of the spellings that the definition knows; `{tid}` in it stands
/// for the token's own tenant.
fn issuer_fits(iss: Option<&str>, tid: Option<&str>, definition: &Definition) -> bool {
    let Some(iss) = iss else { return false };
    let known: Vec<&String> = definition
        .issuer
        .iter()
        .chain(&definition.id_token_issuers)
        .collect();
    known.is_empty()
        || known.into_iter().any(|issuer| match tid {
            Some(tid) => issuer.replace("{tid}", tid) == iss,
            None => issuer == iss,
        })
}
