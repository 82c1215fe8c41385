//! The token endpoint (RFC 6749 section 3.2): exchanging a code, refreshing, and
//! what the answers mean for the connection.

use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use grantkeep_providers::{ClientAuthentication, Definition, RequestBody};
use http::HeaderValue;
use http::header::{ACCEPT, CONTENT_TYPE};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, AuthType, Client, ClientId, EndpointNotSet, EndpointSet, ExtraTokenFields,
    PkceCodeVerifier, RequestTokenError, StandardRevocableToken, StandardTokenResponse,
    TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::http::{Answer, Http, HttpError};
use crate::oauth::normalise::{Normalised, normalise};
use crate::provider::Client as Registration;
use crate::scope::ScopeSet;
use crate::secret::{AccessToken, AuthorizationCode, CodeVerifier, IdToken, RefreshToken};

/// How long the token endpoint may take for one answer.
pub const TIMEOUT: Duration = Duration::from_secs(6);

/// What a token endpoint gave.
#[derive(Debug)]
pub struct TokenSet {
    /// RFC 6749 section 1.4.
    pub access_token: AccessToken,
    /// Absent in most refresh answers: the one used stays valid.
    pub refresh_token: Option<RefreshToken>,
    /// Seconds from the request; absent means unknown, not "never".
    pub expires_in: Option<u64>,
    /// Seconds until the refresh token dies, where the provider says so.
    pub refresh_token_expires_in: Option<u64>,
    /// What was granted; absent means "as requested" (RFC 6749 section 5.1).
    pub scope: Option<ScopeSet>,
    /// Only with the scope `openid`.
    pub id_token: Option<IdToken>,
    /// The members that the definition wants kept.
    pub metadata: Map<String, Value>,
    /// When the request was sent; lifetimes count from here.
    pub requested_at: DateTime<Utc>,
}

/// Why a token endpoint gave no token set. Holds codes only, never what was sent
/// or a description, which can repeat it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenEndpointError {
    /// `invalid_grant` or the provider's word for it: the user has to act.
    #[error("the provider no longer honours this grant ({error})")]
    DeadGrant {
        /// The `error` value.
        error: String,
    },
    /// `invalid_client` and its like: the operator has to act, the grant is alive.
    #[error("the provider refused the client credentials ({error})")]
    ClientRefused {
        /// The `error` value.
        error: String,
    },
    /// Another refusal: trying again changes nothing.
    #[error("the provider refused the request ({error})")]
    Refused {
        /// The `error` value.
        error: String,
        /// HTTP status.
        status: u16,
    },
    /// Not answered, or a passing fault: the same request may work later.
    #[error("the token endpoint {reason}")]
    Unavailable {
        /// What happened, for people.
        reason: String,
        /// HTTP status, where there was one.
        status: Option<u16>,
        /// Seconds that the provider asked to wait.
        retry_after: Option<u64>,
        /// The request may have been carried out: a single-use refresh token may be used up.
        outcome_unknown: bool,
    },
}

/// Exchanges an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
pub async fn exchange(
    http: &Http,
    definition: &Definition,
    registration: &Registration,
    code: &AuthorizationCode,
    verifier: Option<&CodeVerifier>,
    redirect_uri: &str,
    now: DateTime<Utc>,
) -> Result<TokenSet, TokenEndpointError> {
    let client = client(definition, registration)?;
    let mut request = client
        .exchange_code(oauth2::AuthorizationCode::new(code.expose().to_owned()))
        .add_extra_param("redirect_uri", redirect_uri);
    if let Some(verifier) = verifier {
        request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()));
    }
    for (name, value) in &definition.token_params {
        request = request.add_extra_param(name, value);
    }
    let answer = request
        .request_async(&Endpoint {
            http,
            definition,
            now,
        })
        .await;
    read(answer, definition, now)
}

/// Refreshes (RFC 6749 section 6). `scopes` are sent only where the provider wants them.
pub async fn refresh(
    http: &Http,
    definition: &Definition,
    registration: &Registration,
    refresh_token: &RefreshToken,
    scopes: &ScopeSet,
    now: DateTime<Utc>,
) -> Result<TokenSet, TokenEndpointError> {
    let client = client(definition, registration)?;
    let refresh_token = oauth2::RefreshToken::new(refresh_token.expose().to_owned());
    let mut request = client.exchange_refresh_token(&refresh_token);
    if definition.send_scope_on_refresh {
        request = request.add_extra_param("scope", scopes.join(&definition.scope_separator));
    }
    for (name, value) in &definition.token_params {
        request = request.add_extra_param(name, value);
    }
    let answer = request
        .request_async(&Endpoint {
            http,
            definition,
            now,
        })
        .await;
    read(answer, definition, now)
}

type ProtocolClient = Client<
    BasicErrorResponse,
    Response,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;
type Response = StandardTokenResponse<Extra, BasicTokenType>;
type ProtocolError = RequestTokenError<ExchangeError, BasicErrorResponse>;

/// What normalised answers carry besides the standard members.
#[derive(Deserialize, Serialize)]
struct Extra {
    id_token: Option<String>,
    refresh_token_expires_in: Option<u64>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

impl ExtraTokenFields for Extra {}

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extra([redacted])")
    }
}

#[derive(Debug, thiserror::Error)]
enum ExchangeError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("token endpoint failed")]
    Endpoint(TokenEndpointError),
}

fn client(
    definition: &Definition,
    registration: &Registration,
) -> Result<ProtocolClient, TokenEndpointError> {
    let unusable = |reason: &str| TokenEndpointError::Refused {
        error: reason.to_owned(),
        status: 0,
    };
    let endpoint = definition
        .token_endpoint
        .clone()
        .ok_or_else(|| unusable("no_token_endpoint"))?;
    let endpoint = TokenUrl::new(endpoint).map_err(|_| unusable("malformed_token_endpoint"))?;
    let auth_type = match definition.token_endpoint_auth_method {
        ClientAuthentication::ClientSecretBasic => AuthType::BasicAuth,
        ClientAuthentication::ClientSecretPost | ClientAuthentication::None => {
            AuthType::RequestBody
        }
        // Its key format comes with the providers that need it.
        ClientAuthentication::ClientSecretEs256Jwt => {
            return Err(unusable("client_secret_es256_jwt_unsupported"));
        }
    };
    let mut client = Client::new(ClientId::new(registration.id.clone()))
        .set_token_uri(endpoint)
        .set_auth_type(auth_type);
    if let Some(secret) = &registration.secret {
        client = client.set_client_secret(oauth2::ClientSecret::new(secret.expose().to_owned()));
    }
    Ok(client)
}

/// The token endpoint as the protocol's HTTP client: it is given RFC 6749 requests and
/// gives RFC 6749 answers, whatever goes over the wire.
struct Endpoint<'a> {
    http: &'a Http,
    definition: &'a Definition,
    now: DateTime<Utc>,
}

impl<'c> AsyncHttpClient<'c> for Endpoint<'_> {
    type Error = ExchangeError;
    type Future =
        Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse, ExchangeError>> + Send + 'c>>;

    fn call(&'c self, request: oauth2::HttpRequest) -> Self::Future {
        Box::pin(send(self.http, self.definition, request, self.now))
    }
}

/// Sends a token request the way the definition wants it and hands back the answer
/// in the shape of RFC 6749.
async fn send(
    http: &Http,
    definition: &Definition,
    mut request: oauth2::HttpRequest,
    now: DateTime<Utc>,
) -> Result<oauth2::HttpResponse, ExchangeError> {
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    for (name, value) in &definition.token_headers {
        if let (Ok(name), Ok(value)) = (
            name.parse::<http::HeaderName>(),
            HeaderValue::from_str(value),
        ) {
            headers.insert(name, value);
        }
    }
    if definition.token_request_body == RequestBody::Json {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let members: Map<String, Value> = url::form_urlencoded::parse(request.body())
            .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
            .collect();
        *request.body_mut() = Value::Object(members).to_string().into_bytes();
    }

    let provider = &definition.display_name;
    let answer = http.send(request, TIMEOUT).await.inspect_err(
        |error| tracing::warn!(event = "token_endpoint", provider, %error, "no answer"),
    )?;
    let (status, body) = shape(&answer, definition, now).map_err(|error| {
        tracing::warn!(
            event = "token_endpoint",
            provider,
            status = answer.status,
            %error,
            error_codes = error_codes(&answer.body),
            trace_id = trace_id(&answer.body),
            "refused"
        );
        ExchangeError::Endpoint(error)
    })?;
    let response = http::Response::builder().status(status).body(body);
    response.map_err(|_| ExchangeError::Http(HttpError::Malformed))
}

/// Status and body as RFC 6749 section 5 has them, or what else the answer means.
fn shape(
    answer: &Answer,
    definition: &Definition,
    now: DateTime<Utc>,
) -> Result<(u16, Vec<u8>), TokenEndpointError> {
    let unavailable = |reason: &str, outcome_unknown| TokenEndpointError::Unavailable {
        reason: reason.to_owned(),
        status: Some(answer.status),
        retry_after: answer.retry_after(now),
        outcome_unknown,
    };
    match answer.status {
        300..400 => {
            return Err(TokenEndpointError::Refused {
                error: "token_endpoint_redirect".to_owned(),
                status: answer.status,
            });
        }
        408 | 429 => return Err(unavailable("asked to slow down", false)),
        500.. => return Err(unavailable("had an internal fault", true)),
        _ => {}
    }
    match normalise(&answer.body, definition, now) {
        Normalised::Tokens(tokens) if answer.status < 300 => {
            Ok((200, Value::Object(tokens).to_string().into_bytes()))
        }
        Normalised::Error(error) => Err(meaning(error, answer.status, definition)),
        // A 2xx nobody can read: the refresh may well have happened.
        _ if answer.status < 300 => Err(unavailable("answered something unreadable", true)),
        _ => Err(TokenEndpointError::Refused {
            error: "unreadable_error".to_owned(),
            status: answer.status,
        }),
    }
}

/// Which of the classes an `error` value belongs to (RFC 6749 section 5.2 first).
fn meaning(error: String, status: u16, definition: &Definition) -> TokenEndpointError {
    if error == "invalid_grant" || definition.dead_grant_errors.contains(&error) {
        return TokenEndpointError::DeadGrant { error };
    }
    match error.as_str() {
        "invalid_client"
        | "unauthorized_client"
        | "deleted_client"
        | "incorrect_client_credentials" => TokenEndpointError::ClientRefused { error },
        "temporarily_unavailable" | "server_error" | "internal_failure" | "slow_down" => {
            TokenEndpointError::Unavailable {
                reason: format!("answered {error}"),
                status: Some(status),
                retry_after: None,
                outcome_unknown: false,
            }
        }
        _ if status == 401 => TokenEndpointError::ClientRefused { error },
        _ => TokenEndpointError::Refused { error, status },
    }
}

/// Microsoft's numbers for what went wrong, which its support asks for. Numbers only:
/// nothing else of the answer is safe to repeat.
fn error_codes(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let codes = body.get("error_codes")?.as_array()?.iter();
    let codes: Vec<String> = codes
        .filter_map(Value::as_u64)
        .map(|code| format!("AADSTS{code}"))
        .collect();
    Some(codes.join(" "))
}

/// The provider's id of this request, where it is a UUID and so nothing else.
fn trace_id(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let id = uuid::Uuid::try_parse(body.get("trace_id")?.as_str()?).ok()?;
    Some(id.to_string())
}

fn read(
    answer: Result<Response, ProtocolError>,
    definition: &Definition,
    now: DateTime<Utc>,
) -> Result<TokenSet, TokenEndpointError> {
    let answer = answer.map_err(|error| match error {
        RequestTokenError::Request(ExchangeError::Endpoint(error)) => error,
        RequestTokenError::Request(ExchangeError::Http(error)) => TokenEndpointError::Unavailable {
            reason: error.to_string(),
            status: None,
            retry_after: None,
            outcome_unknown: !matches!(
                error,
                HttpError::Unreachable | HttpError::PrivateAddress | HttpError::Malformed
            ),
        },
        // Normalised answers parse; the body is dropped with the error because it holds tokens.
        RequestTokenError::ServerResponse(_)
        | RequestTokenError::Parse(..)
        | RequestTokenError::Other(_) => TokenEndpointError::Unavailable {
            reason: "answered something unreadable".to_owned(),
            status: None,
            retry_after: None,
            outcome_unknown: true,
        },
    })?;
    let extra = answer.extra_fields();
    Ok(TokenSet {
        access_token: AccessToken::new(answer.access_token().secret()),
        refresh_token: answer
            .refresh_token()
            .map(|token| RefreshToken::new(token.secret())),
        expires_in: answer
            .expires_in()
            .map(|life| life.as_secs())
            .or(definition.default_expires_in.map(u64::from)),
        refresh_token_expires_in: extra.refresh_token_expires_in,
        scope: answer
            .scopes()
            .map(|scopes| scopes.iter().map(|s| s.as_str()).collect()),
        id_token: extra.id_token.clone().map(IdToken::new),
        metadata: extra.metadata.clone(),
        requested_at: now,
    })
}
