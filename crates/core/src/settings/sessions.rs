//! Who signs sessions: `SESSION_SECRET`, and `SESSION_JWKS_URL` with what belongs to it.

use super::Environment;
use crate::session::SessionKey;
use crate::session::issuer::{SessionIssuer, check_address};

const SECRET: &str = "SESSION_SECRET";
const JWKS_URL: &str = "SESSION_JWKS_URL";
const ISSUER: &str = "SESSION_ISSUER";
const AUDIENCE: &str = "SESSION_AUDIENCE";
const WORKSPACE_CLAIM: &str = "SESSION_WORKSPACE_CLAIM";

/// Our own key.
pub(super) fn key(env: &mut Environment<'_>, needed: bool) -> Option<SessionKey> {
    let what = "it is the key that signs sessions; make one with `openssl rand -base64 32`";
    let secret = match needed {
        true => env.required(SECRET, what),
        false => env.get(SECRET),
    }?;
    let key = SessionKey::new(&secret);
    if key.is_none() {
        env.fail(
            SECRET,
            "must have at least 32 bytes; make one with `openssl rand -base64 32`",
        );
    }
    key
}

/// Whether somebody else may sign them.
pub(super) fn names_issuer(env: &Environment<'_>) -> bool {
    env.get(JWKS_URL).is_some()
}

/// The host application's identity provider: all of its settings, or none.
pub(super) fn issuer(env: &mut Environment<'_>) -> Option<SessionIssuer> {
    if !names_issuer(env) {
        for variable in [ISSUER, AUDIENCE, WORKSPACE_CLAIM] {
            if env.get(variable).is_some() {
                env.fail(
                    JWKS_URL,
                    format!("is not set; without it {variable} means nothing"),
                );
                break;
            }
        }
        return None;
    }
    let address = env.get(JWKS_URL).unwrap_or_default();
    let jwks_url = env.checked(JWKS_URL, check_address(&address));
    let issuer = env.required(ISSUER, "it is what `iss` of its sessions says, exactly");
    let audience = env.required(
        AUDIENCE,
        "it is what `aud` of its sessions says, so that its tokens for others are none",
    );
    Some(SessionIssuer {
        jwks_url: jwks_url?,
        issuer: issuer?,
        audience: audience?,
        workspace_claim: env.get(WORKSPACE_CLAIM),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Need;
    use super::super::tests::{COMPLETE, failing};

    const ALL: &[(&str, &str)] = &[
        ("SESSION_JWKS_URL", "https://id.example/jwks"),
        ("SESSION_ISSUER", "https://id.example"),
        ("SESSION_AUDIENCE", "grantkeep"),
    ];

    #[test]
    fn an_issuers_settings_belong_together() {
        assert_eq!(failing(&[], &[COMPLETE, ALL].concat()), [""; 0]);
        assert_eq!(
            failing(&[], &[COMPLETE, &ALL[..1]].concat()),
            ["SESSION_ISSUER", "SESSION_AUDIENCE"]
        );
        assert_eq!(
            failing(&[], &[COMPLETE, &ALL[1..]].concat()),
            ["SESSION_JWKS_URL"]
        );
        let plain = [
            COMPLETE,
            ALL,
            &[("SESSION_JWKS_URL", "http://id.example/jwks")],
        ]
        .concat();
        assert_eq!(failing(&[], &plain), ["SESSION_JWKS_URL"]);
    }

    #[test]
    fn sessions_need_a_key_or_an_issuer_and_signing_in_needs_the_key() {
        let issuer = [COMPLETE, ALL].concat();

        assert_eq!(failing(&[Need::Sessions], COMPLETE), ["SESSION_SECRET"]);
        assert_eq!(failing(&[Need::Sessions], &issuer), [""; 0]);
        assert_eq!(failing(&[Need::SessionSecret], &issuer), ["SESSION_SECRET"]);
    }
}
