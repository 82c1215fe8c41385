//! The authorization request (RFC 6749 section 4.1.1) with PKCE (RFC 7636).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantkeep_providers::{CodeChallengeMethod, Definition, ResponseMode};
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use url::Url;

use crate::scope::ScopeSet;
use crate::secret::{CodeVerifier, Nonce, State};

/// What of an authorization request is different each time.
pub struct Request<'a> {
    /// RFC 6749 section 2.2.
    pub client_id: &'a str,
    /// Registered at the provider; the same bytes go into the exchange.
    pub redirect_uri: &'a str,
    /// Everything asked for.
    pub scopes: &'a ScopeSet,
    /// At least 128 bits of randomness.
    pub state: &'a State,
    /// Absent where the provider knows no PKCE.
    pub verifier: Option<&'a CodeVerifier>,
    /// Absent where no id_token is asked for.
    pub nonce: Option<&'a Nonce>,
    /// The account to offer first.
    pub login_hint: Option<&'a str>,
}

/// The URL to send the browser to; `None` when the definition has no usable
/// authorization endpoint.
pub fn url(definition: &Definition, request: &Request<'_>) -> Option<Url> {
    let mut url = Url::parse(definition.authorization_endpoint.as_deref()?).ok()?;
    {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", request.client_id)
            .append_pair("redirect_uri", request.redirect_uri)
            .append_pair("state", request.state.expose());
        if !request.scopes.is_empty() {
            let scopes = request.scopes.join(&definition.scope_separator);
            query.append_pair(&definition.scope_parameter, &scopes);
        }
        if let Some(verifier) = request.verifier {
            query
                .append_pair("code_challenge", &challenge(verifier))
                .append_pair("code_challenge_method", "S256");
        }
        if let Some(nonce) = request.nonce {
            query.append_pair("nonce", nonce.expose());
        }
        if definition.response_mode == ResponseMode::FormPost {
            query.append_pair("response_mode", "form_post");
        }
        for (name, value) in &definition.authorization_params {
            query.append_pair(name, value);
        }
        if let Some(hint) = request.login_hint {
            query.append_pair("login_hint", hint);
        }
    }
    Some(url)
}

/// A fresh verifier of 43 characters, unless the provider knows no PKCE.
pub fn verifier(definition: &Definition, fill: fn(&mut [u8])) -> Option<CodeVerifier> {
    (definition.code_challenge_method == CodeChallengeMethod::S256)
        .then(|| CodeVerifier::new(random(fill)))
}

/// A fresh nonce where an id_token is asked for.
pub fn nonce(scopes: &ScopeSet, fill: fn(&mut [u8])) -> Option<Nonce> {
    scopes
        .iter()
        .any(|scope| scope == "openid")
        .then(|| Nonce::new(random(fill)))
}

/// 256 random bits in base64url.
fn random(fill: fn(&mut [u8])) -> String {
    let mut bytes = [0; 32];
    fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn challenge(verifier: &CodeVerifier) -> String {
    let verifier = PkceCodeVerifier::new(verifier.expose().to_owned());
    PkceCodeChallenge::from_code_verifier_sha256(&verifier)
        .as_str()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ar01_the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = CodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");

        assert_eq!(
            challenge(&verifier),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn ar02_only_a_definition_turns_pkce_off() {
        let with = |json: serde_json::Value| -> Definition {
            serde_json::from_value(json).expect("definition")
        };
        let fill = |bytes: &mut [u8]| bytes.fill(7);

        let on = with(serde_json::json!({"display_name": "A"}));
        let off = with(serde_json::json!({"display_name": "A", "code_challenge_method": "none"}));

        assert_eq!(verifier(&on, fill).map(|v| v.expose().len()), Some(43));
        assert!(verifier(&off, fill).is_none());
    }
}
