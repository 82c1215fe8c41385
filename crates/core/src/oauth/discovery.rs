//! Metadata of an issuer (RFC 8414, OpenID Connect Discovery) for providers that
//! are configured by issuer alone.

use std::time::Duration;

use grantkeep_providers::Definition;
use serde_json::Value;

use crate::http::Http;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Why an issuer's metadata cannot be used; says what to do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DiscoveryError {
    /// No document at either well-known address, for now or for ever.
    #[error("the issuer's metadata document could not be fetched")]
    Unavailable,
    /// The document cannot be trusted or used.
    #[error("the issuer's metadata {0}")]
    Unusable(String),
}

/// The definition with what the issuer publishes filled in where it was silent.
pub async fn complete(
    http: &Http,
    name: &str,
    definition: &Definition,
) -> Result<Definition, DiscoveryError> {
    let issuer = definition
        .issuer
        .as_deref()
        .ok_or(DiscoveryError::Unavailable)?;
    let metadata = fetch(http, issuer).await?;
    merge(name, definition, issuer, &metadata)
}

async fn fetch(http: &Http, issuer: &str) -> Result<Value, DiscoveryError> {
    for address in addresses(issuer) {
        let Ok(request) = http::Request::get(address).body(Vec::new()) else {
            continue;
        };
        let Ok(answer) = http.send(request, TIMEOUT).await else {
            continue;
        };
        if answer.status == 200
            && let Ok(metadata) = serde_json::from_slice(&answer.body)
        {
            return Ok(metadata);
        }
    }
    Err(DiscoveryError::Unavailable)
}

/// OpenID Connect appends its path to the issuer; RFC 8414 section 3.1 puts it
/// between host and path.
fn addresses(issuer: &str) -> Vec<String> {
    let issuer = issuer.trim_end_matches('/');
    let mut addresses = vec![format!("{issuer}/.well-known/openid-configuration")];
    if let Ok(url) = url::Url::parse(issuer) {
        let origin = url.origin().ascii_serialization();
        let path = url.path().trim_end_matches('/');
        addresses.push(format!(
            "{origin}/.well-known/oauth-authorization-server{path}"
        ));
    }
    addresses
}

fn merge(
    name: &str,
    definition: &Definition,
    issuer: &str,
    metadata: &Value,
) -> Result<Definition, DiscoveryError> {
    let text = |member: &str| {
        metadata
            .get(member)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let lists = |member: &str, wanted: &str| {
        metadata
            .get(member)
            .and_then(Value::as_array)
            .map(|values| values.iter().any(|value| value == wanted))
    };
    if text("issuer").as_deref() != Some(issuer) {
        return Err(DiscoveryError::Unusable(
            "names another issuer; set `issuer` exactly as the provider writes it".to_owned(),
        ));
    }
    if lists("code_challenge_methods_supported", "S256") == Some(false)
        && definition.code_challenge_method == grantkeep_providers::CodeChallengeMethod::S256
    {
        return Err(DiscoveryError::Unusable(
            "does not offer PKCE with S256; set `code_challenge_method` to none if that is so"
                .to_owned(),
        ));
    }
    let mut complete = definition.clone();
    for (member, name) in [
        (
            &mut complete.authorization_endpoint,
            "authorization_endpoint",
        ),
        (&mut complete.token_endpoint, "token_endpoint"),
        (&mut complete.revocation_endpoint, "revocation_endpoint"),
        (&mut complete.userinfo_endpoint, "userinfo_endpoint"),
        (&mut complete.jwks_uri, "jwks_uri"),
    ] {
        if member.is_none() {
            *member = text(name);
        }
    }
    complete.authorization_response_iss_parameter_supported |= metadata
        .get("authorization_response_iss_parameter_supported")
        .and_then(Value::as_bool)
        .unwrap_or_default();
    complete.validate(name).map_err(|invalid| {
        let first = invalid
            .first()
            .map_or_else(String::new, |i| format!("{}: {}", i.field, i.message));
        DiscoveryError::Unusable(format!("is not usable: {first}"))
    })?;
    if complete.authorization_endpoint.is_none() || complete.token_endpoint.is_none() {
        return Err(DiscoveryError::Unusable(
            "names no authorization_endpoint or token_endpoint".to_owned(),
        ));
    }
    Ok(complete)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(metadata: Value) -> Result<Definition, DiscoveryError> {
        let definition = serde_json::from_value(
            json!({"display_name": "Acme", "issuer": "https://id.acme.example"}),
        )
        .expect("definition");
        merge("acme", &definition, "https://id.acme.example", &metadata)
    }

    fn document() -> Value {
        json!({
            "issuer": "https://id.acme.example",
            "authorization_endpoint": "https://id.acme.example/authorize",
            "token_endpoint": "https://id.acme.example/token",
            "code_challenge_methods_supported": ["S256"],
        })
    }

    #[test]
    fn io01_endpoints_are_filled_in_from_the_issuers_document() {
        let definition = merged(document()).expect("usable");

        assert_eq!(
            definition.token_endpoint.as_deref(),
            Some("https://id.acme.example/token")
        );
    }

    #[test]
    fn io01_a_document_of_another_issuer_with_plain_http_or_without_s256_is_refused() {
        for (member, value) in [
            ("issuer", json!("https://id.acme.example/")),
            ("token_endpoint", json!("http://id.acme.example/token")),
            ("code_challenge_methods_supported", json!(["plain"])),
            ("authorization_endpoint", Value::Null),
        ] {
            let mut document = document();
            document[member] = value;
            assert!(
                matches!(merged(document), Err(DiscoveryError::Unusable(_))),
                "{member}"
            );
        }
    }

    #[test]
    fn both_well_known_addresses_are_tried() {
        assert_eq!(
            addresses("https://id.example/tenant"),
            [
                "https://id.example/tenant/.well-known/openid-configuration",
                "https://id.example/.well-known/oauth-authorization-server/tenant",
            ]
        );
    }
}
