//! Sessions of the host application's own identity provider: JWTs that it signs with a key
//! it publishes (RFC 7517, RFC 8725).

use chrono::{DateTime, Utc};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use url::{Host, Url};

use super::{Session, session_of};
use crate::http::{Http, HttpError, is_public};
use crate::oauth::key_sets::{KeySets, SignatureError};
use crate::secret::SessionToken;

/// Fixed here: which of them a key is for is said by the key's type.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// Who else signs sessions, and what they have to say.
#[derive(Clone, Debug)]
pub struct SessionIssuer {
    /// Where its keys are.
    pub jwks_url: String,
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud`, or one of its members, exactly.
    pub audience: String,
    /// The claim that names the workspace, or a JSON pointer to it; without one all of its
    /// users are in the workspace `default`.
    pub workspace_claim: Option<String>,
}

/// An address that keys are not fetched from. Says what to do, never the value.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "must be an absolute https address (http on loopback only), public, without user information"
)]
pub struct InvalidAddress;

/// Checks an address that keys are to be fetched from.
pub fn check_address(text: &str) -> Result<String, InvalidAddress> {
    let url = Url::parse(text.trim()).map_err(|_| InvalidAddress)?;
    let (loopback, public) = match url.host() {
        Some(Host::Ipv4(ip)) => (ip.is_loopback(), is_public(ip.into())),
        Some(Host::Ipv6(ip)) => (ip.is_loopback(), is_public(ip.into())),
        Some(Host::Domain(name)) => (name == "localhost", true),
        None => return Err(InvalidAddress),
    };
    let encrypted = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let plain = url.username().is_empty() && url.password().is_none();
    match encrypted && plain && (loopback || public) {
        true => Ok(url.into()),
        false => Err(InvalidAddress),
    }
}

impl SessionIssuer {
    /// The session of a token; `None` for anything that is not a live one of this issuer.
    /// Its keys are fetched only for a token whose claims are in order. The error says that
    /// nobody can tell now.
    pub async fn verify(
        &self,
        http: &Http,
        keys: &KeySets,
        token: &SessionToken,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, HttpError> {
        let token = token.expose();
        let unchecked = jsonwebtoken::dangerous::insecure_decode::<Map<String, Value>>(token);
        let promising = unchecked.is_ok_and(|token| self.session(&token.claims, now).is_some());
        if !promising {
            return Ok(None);
        }
        let signed = keys.claims(http, &self.jwks_url, token, &ALGORITHMS, now);
        match signed.await {
            Ok(claims) => Ok(self.session(&claims, now)),
            Err(SignatureError::Malformed | SignatureError::Signature) => Ok(None),
            Err(SignatureError::Keys(error)) => Err(error),
        }
    }

    fn session(&self, claims: &Map<String, Value>, now: DateTime<Utc>) -> Option<Session> {
        let issuer = claims.get("iss").and_then(Value::as_str);
        let meant = match claims.get("aud") {
            Some(Value::String(one)) => *one == self.audience,
            Some(Value::Array(several)) => several
                .iter()
                .any(|one| one.as_str() == Some(self.audience.as_str())),
            _ => false,
        };
        if issuer != Some(self.issuer.as_str()) || !meant {
            return None;
        }
        let whole;
        let workspace = match self.workspace_claim.as_deref() {
            Some(pointer) if pointer.starts_with('/') => {
                whole = Value::Object(claims.clone());
                whole.pointer(pointer)
            }
            Some(name) => claims.get(name),
            None => None,
        };
        session_of(claims, workspace, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use serde_json::json;

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    fn issuer(workspace_claim: Option<&str>) -> SessionIssuer {
        SessionIssuer {
            jwks_url: "https://id.example/jwks".to_owned(),
            issuer: "https://id.example/".to_owned(),
            audience: "grantkeep".to_owned(),
            workspace_claim: workspace_claim.map(str::to_owned),
        }
    }

    fn owner(
        workspace_claim: Option<&str>,
        change: impl FnOnce(&mut Value),
    ) -> Option<(String, String)> {
        let mut claims = json!({
            "iss": "https://id.example/", "aud": "grantkeep", "sub": "user_1",
            "exp": now().timestamp() + 60, "org_id": "org_1", "o": {"id": "org_2"},
            "https://app.example/tenant": "org_3",
        });
        change(&mut claims);
        let Value::Object(claims) = claims else {
            return None;
        };
        let session = issuer(workspace_claim).session(&claims, now())?;
        Some((session.owner.workspace, session.owner.actor))
    }

    fn of(workspace: &str) -> Option<(String, String)> {
        Some((workspace.to_owned(), "user_1".to_owned()))
    }

    #[test]
    fn the_workspace_is_read_where_the_setting_says() {
        assert_eq!(owner(None, |_| ()), of("default"));
        assert_eq!(owner(Some("org_id"), |_| ()), of("org_1"));
        assert_eq!(owner(Some("/o/id"), |_| ()), of("org_2"));
        assert_eq!(
            owner(Some("https://app.example/tenant"), |_| ()),
            of("org_3")
        );
        assert_eq!(owner(Some("absent"), |_| ()), of("default"));
        assert_eq!(owner(Some("/o/absent"), |_| ()), of("default"));
    }

    #[test]
    fn jw01_wrong_claims_are_refused() {
        for (name, value) in [
            ("iss", json!("https://id.example")),
            ("iss", json!(null)),
            ("aud", json!("grantkeep2")),
            ("aud", json!(["other"])),
            ("aud", json!(null)),
            ("sub", json!("")),
            ("sub", json!(1)),
            ("sub", json!(null)),
            ("exp", json!(null)),
            ("exp", json!(now().timestamp() - 61)),
            ("exp", json!(now().timestamp() + 40 * 86_400)),
            ("nbf", json!(now().timestamp() + 61)),
            ("iat", json!(now().timestamp() + 61)),
            ("iat", json!(now().timestamp() - 40 * 86_400)),
            ("org_id", json!("")),
            ("org_id", json!(7)),
            ("org_id", json!(null)),
            ("org_id", json!(["org_1"])),
        ] {
            let refused = owner(Some("org_id"), |claims| claims[name] = value.clone());
            assert_eq!(refused, None, "{name} {value}");
        }
        assert_eq!(
            owner(None, |claims| claims["aud"] = json!(["other", "grantkeep"])),
            of("default")
        );
    }

    #[test]
    fn jw02_keys_come_from_an_https_address_or_this_machine() {
        for good in [
            "https://id.example/.well-known/jwks.json",
            "http://127.0.0.1:1/jwks",
            "http://localhost:1/",
        ] {
            assert!(check_address(good).is_ok(), "{good}");
        }
        for bad in [
            "http://id.example/jwks",
            "https://10.0.0.1/jwks",
            "https://[fd00::1]/jwks",
            "https://u:p@id.example/jwks",
            "file:///etc/passwd",
            "id.example",
            "",
        ] {
            assert_eq!(check_address(bad), Err(InvalidAddress), "{bad}");
        }
    }
}
