//! Sessions: proof of who the browser's user is. A JWT, signed with our own key (HS256), or
//! by the host application's identity provider ([`issuer`]).

pub mod issuer;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::connection::Owner;
use crate::secret::SessionToken;

/// The audience of our sessions.
pub const AUDIENCE: &str = "grantkeep";
/// Clocks may differ by this much, in seconds.
const SKEW: i64 = 60;
/// A session that claims to live longer than this is refused.
const MAX_LIFE: TimeDelta = TimeDelta::days(31);
/// HS256 wants a key of at least its output's size (RFC 7518 section 3.2).
const MIN_KEY: usize = 32;

/// The key that signs and checks sessions.
pub struct SessionKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// A session that was checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// Whose session it is.
    pub owner: Owner,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    workspace: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Read(Map<String, Value>);

impl SessionKey {
    /// `None` when the secret is shorter than 32 bytes.
    pub fn new(secret: &str) -> Option<Self> {
        (secret.len() >= MIN_KEY).then(|| Self {
            encoding: EncodingKey::from_secret(secret.as_bytes()),
            decoding: DecodingKey::from_secret(secret.as_bytes()),
        })
    }

    /// Signs a session of `life` from `now` on.
    pub fn mint(&self, owner: &Owner, now: DateTime<Utc>, life: TimeDelta) -> Option<SessionToken> {
        let claims = Claims {
            sub: &owner.actor,
            workspace: &owner.workspace,
            aud: AUDIENCE,
            iat: now.timestamp(),
            exp: (now + life).timestamp(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .ok()
            .map(SessionToken::new)
    }

    /// Checks signature, algorithm, audience and times (RFC 8725); `None` for anything
    /// that is not one of our live sessions.
    pub fn verify(&self, token: &SessionToken, now: DateTime<Utc>) -> Option<Session> {
        let header = jsonwebtoken::decode_header(token.expose()).ok()?;
        if header.crit.is_some() {
            return None;
        }
        // Times are checked below, against the application's clock.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        validation.set_audience(&[AUDIENCE]);
        let Read(claims) = jsonwebtoken::decode(token.expose(), &self.decoding, &validation)
            .ok()?
            .claims;

        session_of(&claims, claims.get("workspace"), now)
    }
}

/// What a token says that is signed as it should be: times (RFC 8725), owner. A workspace
/// that it does not name is `default`; one that is no text is none.
fn session_of(
    claims: &Map<String, Value>,
    workspace: Option<&Value>,
    now: DateTime<Utc>,
) -> Option<Session> {
    // RFC 7519 section 2: seconds, with a fraction where the issuer likes one.
    let time = |name: &str| {
        claims
            .get(name)
            .map(|value| value.as_f64().map(|t| t as i64))
    };
    let expires_at = DateTime::from_timestamp(time("exp")??, 0)?;
    let not_yet = |name: &str| match time(name) {
        Some(Some(at)) => at > now.timestamp() + SKEW,
        Some(None) => true,
        None => false,
    };
    let over = expires_at.timestamp() <= now.timestamp() - SKEW;
    let old = matches!(time("iat"), Some(Some(at)) if at < (now - MAX_LIFE).timestamp());
    if over || old || expires_at > now + MAX_LIFE || not_yet("nbf") || not_yet("iat") {
        return None;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let workspace = workspace.map(text);
    let actor = claims.get("sub").map(text)?;
    let owner = Owner::new(workspace.as_deref(), Some(&actor)).ok()?;
    Some(Session { owner, expires_at })
}

/// Whether a token claims to be signed with our own key.
pub fn is_ours(token: &SessionToken) -> bool {
    jsonwebtoken::decode_header(token.expose()).is_ok_and(|header| header.alg == Algorithm::HS256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECRET: &str = "a-secret-of-at-least-thirty-two-bytes";

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    fn key() -> SessionKey {
        SessionKey::new(SECRET).expect("long enough")
    }

    fn signed(header: &Header, claims: &Value, secret: &str) -> SessionToken {
        let key = EncodingKey::from_secret(secret.as_bytes());
        SessionToken::new(jsonwebtoken::encode(header, claims, &key).expect("signs"))
    }

    fn claims() -> Value {
        json!({"sub": "ada", "workspace": "acme", "aud": "grantkeep", "exp": now().timestamp() + 600})
    }

    fn accepts(change: impl FnOnce(&mut Value)) -> bool {
        let mut claims = claims();
        change(&mut claims);
        key()
            .verify(&signed(&Header::default(), &claims, SECRET), now())
            .is_some()
    }

    #[test]
    fn a_minted_session_names_its_owner_until_it_ends() {
        let owner = Owner::new(Some("acme"), Some("ada")).expect("valid");
        let token = key()
            .mint(&owner, now(), TimeDelta::minutes(10))
            .expect("signs");

        assert_eq!(
            key().verify(&token, now()).map(|session| session.owner),
            Some(owner)
        );
        assert_eq!(key().verify(&token, now() + TimeDelta::minutes(12)), None);
    }

    #[test]
    fn jw01_wrong_claims_are_refused() {
        assert!(accepts(|_| ()));
        assert!(accepts(|c| {
            c.as_object_mut().map(|c| c.remove("workspace"));
        }));
        for (name, value) in [
            ("aud", json!("other")),
            ("sub", json!("")),
            ("sub", json!(7)),
            ("workspace", json!("")),
            ("workspace", json!(null)),
            ("exp", json!("never")),
            ("exp", json!(1)),
            ("exp", json!(now().timestamp() + 40 * 86_400)),
            ("nbf", json!(now().timestamp() + 120)),
            ("iat", json!(now().timestamp() + 120)),
            ("nbf", json!("soon")),
        ] {
            assert!(!accepts(|c| c[name] = value.clone()), "{name} {value}");
        }
        for name in ["aud", "exp", "sub"] {
            assert!(
                !accepts(|c| {
                    c.as_object_mut().map(|c| c.remove(name));
                }),
                "without {name}"
            );
        }
    }

    #[test]
    fn jw01_other_algorithms_other_keys_and_critical_headers_are_refused() {
        let unsigned = |alg: &str| {
            use base64::Engine as _;
            let encode =
                |v: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(v.to_string());
            SessionToken::new(format!(
                "{}.{}.",
                encode(json!({"alg": alg})),
                encode(claims())
            ))
        };
        let hs512 = signed(&Header::new(Algorithm::HS512), &claims(), SECRET);
        let other = signed(
            &Header::default(),
            &claims(),
            "another-secret-of-thirty-two-bytes!!",
        );
        let critical = Header {
            crit: Some(vec!["b64".to_owned()]),
            ..Header::default()
        };
        let critical = signed(&critical, &claims(), SECRET);
        let traversal = Header {
            kid: Some("../../dev/null' or 1=1".to_owned()),
            ..Header::default()
        };
        let traversal = signed(&traversal, &claims(), "");

        for token in [
            unsigned("none"),
            unsigned("NONE"),
            unsigned("HS256"),
            hs512,
            other,
            critical,
            traversal,
        ] {
            assert_eq!(key().verify(&token, now()), None);
        }
    }

    #[test]
    fn a_short_secret_is_no_key() {
        assert!(SessionKey::new("short").is_none());
    }
}
