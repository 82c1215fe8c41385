//! Revoking a grant at the provider: RFC 7009 and the ways of those who have their own.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use grantkeep_providers::{ClientAuthentication, Definition, RequestBody, RevocationMethod};
use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Map, Value};
use url::form_urlencoded::byte_serialize;

use crate::credentials::Credentials;
use crate::http::{Http, HttpError};
use crate::provider::Client;

const TIMEOUT: Duration = Duration::from_secs(6);

/// What became of a revocation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The provider confirmed it; also when it no longer knew the token (RFC 7009 section 2.2).
    Revoked,
    /// The provider has no way to revoke.
    Unsupported,
    /// The provider refused, and would again.
    Refused,
    /// No answer, a passing fault, or our client is refused, which somebody can mend.
    Unavailable {
        /// Seconds that the provider asked to wait.
        retry_after: Option<u64>,
    },
}

/// Asks the provider to end the grant of these credentials.
pub async fn revoke(
    http: &Http,
    definition: &Definition,
    client: &Client,
    credentials: &Credentials,
    now: DateTime<Utc>,
) -> Outcome {
    let Some(endpoint) = definition.revocation_endpoint.as_deref() else {
        return Outcome::Unsupported;
    };
    let Some(request) = request(endpoint, definition, client, credentials) else {
        return Outcome::Refused;
    };
    let answer = match http.send(request, TIMEOUT).await {
        Ok(answer) => answer,
        Err(HttpError::Malformed | HttpError::PrivateAddress) => return Outcome::Refused,
        Err(_) => return Outcome::Unavailable { retry_after: None },
    };
    match (answer.status, error_of(&answer.body).as_deref()) {
        (200..300, _) => Outcome::Revoked,
        // Already gone: nothing is left to do.
        (400, Some("invalid_token")) => Outcome::Revoked,
        (400, Some("unsupported_token_type")) => Outcome::Unsupported,
        (401 | 403 | 408 | 429 | 500.., _) | (400, Some("invalid_client")) => {
            Outcome::Unavailable {
                retry_after: answer.retry_after(now),
            }
        }
        _ => Outcome::Refused,
    }
}

fn error_of(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    Some(answer.get("error")?.as_str()?.to_owned())
}

fn request(
    endpoint: &str,
    definition: &Definition,
    client: &Client,
    credentials: &Credentials,
) -> Option<http::Request<Vec<u8>>> {
    let revocation = &definition.revocation;
    let access = credentials.access_token.expose();
    let refresh = credentials
        .refresh_token
        .as_ref()
        .map(|token| token.expose());
    let encode = |part: &str| byte_serialize(part.as_bytes()).collect::<String>();

    let mut builder = http::Request::builder().header(ACCEPT, "application/json");
    let mut members: Vec<(&str, &str)> = Vec::new();
    let (method, address) = match revocation.method {
        RevocationMethod::Rfc7009 => {
            // The refresh token first: ending it ends the grant.
            members.push(("token", refresh.unwrap_or(access)));
            let hint = if refresh.is_some() {
                "refresh_token"
            } else {
                "access_token"
            };
            members.push(("token_type_hint", hint));
            (Method::POST, endpoint.to_owned())
        }
        RevocationMethod::BearerPost => {
            builder = builder.header(AUTHORIZATION, format!("Bearer {access}"));
            (Method::POST, endpoint.to_owned())
        }
        RevocationMethod::DeleteTokenPath => (
            Method::DELETE,
            endpoint.replace("{token}", &encode(refresh?)),
        ),
        RevocationMethod::DeleteAccessToken => {
            members.push(("access_token", access));
            (
                Method::DELETE,
                endpoint.replace("{client_id}", &encode(&client.id)),
            )
        }
        RevocationMethod::DeauthorizeAccount => {
            members.push(("client_id", &client.id));
            for member in &definition.metadata {
                let value = credentials.metadata.get(member).and_then(Value::as_str);
                members.extend(value.map(|value| (member.as_str(), value)));
            }
            (Method::POST, endpoint.to_owned())
        }
    };
    let secret = client.secret.as_ref().map(|secret| secret.expose());
    match (revocation.auth_method, secret) {
        (ClientAuthentication::ClientSecretBasic, Some(secret)) => {
            let basic = STANDARD.encode(format!("{}:{}", encode(&client.id), encode(secret)));
            builder = builder.header(AUTHORIZATION, format!("Basic {basic}"));
        }
        (ClientAuthentication::ClientSecretPost, Some(secret)) => {
            if revocation.method != RevocationMethod::DeauthorizeAccount {
                members.push(("client_id", &client.id));
            }
            members.push(("client_secret", secret));
        }
        _ => {}
    }
    let (content_type, body) = match revocation.body {
        _ if members.is_empty() => {
            return builder.method(method).uri(address).body(Vec::new()).ok();
        }
        RequestBody::Form => (
            "application/x-www-form-urlencoded",
            url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(members)
                .finish(),
        ),
        RequestBody::Json => {
            let members: Map<String, Value> = members
                .into_iter()
                .map(|(n, v)| (n.to_owned(), v.into()))
                .collect();
            ("application/json", Value::Object(members).to_string())
        }
    };
    builder
        .method(method)
        .uri(address)
        .header(CONTENT_TYPE, content_type)
        .body(body.into_bytes())
        .ok()
}
