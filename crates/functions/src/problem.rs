//! Every error that a caller can see: RFC 9457 problems with a code. None holds a token,
//! a secret, a SQL text or a key.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use grantkeep_core::connect::{BeginError, ConfirmError, Failure};
use grantkeep_core::connection::InvalidName;
use grantkeep_core::kms::KmsError;
use grantkeep_core::oauth::TokenEndpointError;
use grantkeep_core::oauth::discovery::DiscoveryError;
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::store::StoreError;
use grantkeep_core::tokens::TokenError;

/// The header that every problem has, with its code; no API's answer passes with it.
const ERROR: HeaderName = HeaderName::from_static("x-grantkeep-error");

/// What went wrong, in a word that clients can switch on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "each is explained in docs/api.md")]
pub enum Code {
    Unauthorized,
    Forbidden,
    UnknownProvider,
    NotConnected,
    AmbiguousAccount,
    InsufficientScope,
    ReauthorizationRequired,
    AccountMismatch,
    AccessDenied,
    InvalidState,
    InvalidRequest,
    ReturnToNotAllowed,
    ProviderError,
    ProviderUnavailable,
    StorageUnavailable,
    Misconfigured,
    Internal,
}

impl Code {
    /// As in `code` and at the end of `type`.
    pub fn as_str(self) -> &'static str {
        self.describe().0
    }

    /// The status it is answered with.
    pub fn status(self) -> StatusCode {
        self.describe().1
    }

    /// `title`: the same for every problem of this code.
    pub fn title(self) -> &'static str {
        self.describe().2
    }

    fn describe(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::Unauthorized => ("unauthorized", S::UNAUTHORIZED, "Unauthorized"),
            Self::Forbidden => ("forbidden", S::FORBIDDEN, "Forbidden"),
            Self::UnknownProvider => ("unknown_provider", S::NOT_FOUND, "Unknown provider"),
            Self::NotConnected => ("not_connected", S::NOT_FOUND, "Not connected"),
            Self::AmbiguousAccount => ("ambiguous_account", S::CONFLICT, "Several accounts"),
            Self::InsufficientScope => ("insufficient_scope", S::FORBIDDEN, "Insufficient scope"),
            Self::ReauthorizationRequired => (
                "reauthorization_required",
                S::CONFLICT,
                "Reauthorization required",
            ),
            Self::AccountMismatch => ("account_mismatch", S::CONFLICT, "Another account"),
            Self::AccessDenied => ("access_denied", S::FORBIDDEN, "Access denied"),
            Self::InvalidState => ("invalid_state", S::BAD_REQUEST, "Invalid state"),
            Self::InvalidRequest => ("invalid_request", S::BAD_REQUEST, "Invalid request"),
            Self::ReturnToNotAllowed => (
                "return_to_not_allowed",
                S::BAD_REQUEST,
                "return_to not allowed",
            ),
            Self::ProviderError => ("provider_error", S::BAD_GATEWAY, "Provider error"),
            Self::ProviderUnavailable => (
                "provider_unavailable",
                S::SERVICE_UNAVAILABLE,
                "Provider unavailable",
            ),
            Self::StorageUnavailable => (
                "storage_unavailable",
                S::SERVICE_UNAVAILABLE,
                "Storage unavailable",
            ),
            Self::Misconfigured => ("misconfigured", S::INTERNAL_SERVER_ERROR, "Misconfigured"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "Internal error"),
        }
    }
}

/// An error on its way to a caller.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What went wrong.
    pub code: Code,
    /// What to do about it.
    pub detail: String,
    rest: Box<Rest>,
}

/// Apart, so that a `Result` with a problem in it stays small.
#[derive(Clone, Debug)]
struct Rest {
    status: StatusCode,
    fields: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem with its usual status.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            rest: Box::new(Rest {
                status: code.status(),
                fields: Map::new(),
                headers: HeaderMap::new(),
            }),
        }
    }

    /// `invalid_request` about one field.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let problem = Self::new(Code::InvalidRequest, format!("{field}: {message}"));
        problem.with("errors", json!([{"field": field, "message": message}]))
    }

    /// 401, the same for a missing and a wrong credential.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        let bearer = HeaderValue::from_static("Bearer");
        Self::new(Code::Unauthorized, detail).with_header(WWW_AUTHENTICATE, bearer)
    }

    /// 429: too many wrong credentials from one source.
    pub fn too_many_attempts(seconds: u64) -> Self {
        Self::new(
            Code::Unauthorized,
            "too many wrong credentials came from this address: wait before the next one",
        )
        .with_status(StatusCode::TOO_MANY_REQUESTS)
        .retry_after(seconds)
    }

    /// 404; also for what belongs to somebody else.
    pub fn not_connected() -> Self {
        Self::new(Code::NotConnected, "there is no such connection")
    }

    /// A provider that is not in the registry or has no client.
    pub fn unknown_provider(provider: &str) -> Self {
        let shown: String = provider
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .take(50)
            .collect();
        let variable = shown.to_ascii_uppercase();
        Self::new(
            Code::UnknownProvider,
            format!(
                "there is no provider {shown}, or its client is not configured: \
                 set {variable}_CLIENT_ID and {variable}_CLIENT_SECRET"
            ),
        )
        .with("provider", shown.into())
    }

    /// Adds a field of its own.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.rest.fields.insert(name.to_owned(), value);
        self
    }

    /// Answers with another status than the code's usual one.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.rest.status = status;
        self
    }

    /// Adds a header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.rest.headers.insert(name, value);
        self
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.rest.status
    }

    /// Says how long to wait; at least a second.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// The problem of a token read; `connect_url` makes the link that mends it, from
    /// the scopes and the account to ask for.
    pub fn of_token(
        error: TokenError,
        connect_url: impl Fn(&ScopeSet, Option<&str>) -> String,
    ) -> Self {
        let none = ScopeSet::default();
        match error {
            TokenError::NotConnected => {
                Self::not_connected().with("connect_url", connect_url(&none, None).into())
            }
            TokenError::AmbiguousAccount { accounts } => Self::new(
                Code::AmbiguousAccount,
                "there are several accounts: name one with `account`",
            )
            .with("accounts", accounts.into()),
            TokenError::InsufficientScope {
                missing,
                granted,
                account,
            } => {
                let url = connect_url(&missing, Some(&account));
                Self::new(
                    Code::InsufficientScope,
                    "the user has not granted these scopes: send them to connect_url",
                )
                .with("missing_scopes", missing.as_slice().into())
                .with("granted_scopes", granted.as_slice().into())
                .with("connect_url", url.into())
                .with_header(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer error=\"insufficient_scope\""),
                )
            }
            TokenError::ReauthorizationRequired {
                reason,
                since,
                account,
            } => Self::new(
                Code::ReauthorizationRequired,
                "the provider no longer honours this connection: send the user to connect_url",
            )
            .with("reason", reason.into())
            .with("since", json!(since))
            .with("connect_url", connect_url(&none, Some(&account)).into()),
            TokenError::ClientRefused { error } => client_refused(&error),
            TokenError::ProviderRefused { error, status } => provider_error(&error, status),
            TokenError::ProviderUnavailable {
                reason,
                retry_after,
            } => Self::new(
                Code::ProviderUnavailable,
                format!("the provider is not available: {reason}; try again later"),
            )
            .retry_after(retry_after),
            TokenError::Cipher(error) => Self::new(
                Code::Internal,
                format!("{error}; see OAUTH_ENCRYPTION_KEY and OAUTH_ENCRYPTION_KEYS_RETIRED"),
            )
            .with("reason", "integrity_error".into()),
            TokenError::Store(error) => error.into(),
        }
    }
}

fn client_refused(error: &str) -> Problem {
    Problem::new(
        Code::Misconfigured,
        "the provider refused our client credentials: check the provider's _CLIENT_ID and \
         _CLIENT_SECRET (expired or replaced?); no connection was given up",
    )
    .with("provider_error", error.into())
}

fn provider_error(error: &str, status: u16) -> Problem {
    let problem = Problem::new(
        Code::ProviderError,
        format!("the provider refused the request ({error}); check the provider's settings"),
    )
    .with("provider_error", error.into());
    if status == 0 {
        problem
    } else {
        problem.with("provider_status", status.into())
    }
}

impl From<TokenEndpointError> for Problem {
    /// Of a code exchange: a dead grant here is a code that was refused.
    fn from(error: TokenEndpointError) -> Self {
        match error {
            TokenEndpointError::DeadGrant { error } => provider_error(&error, 400),
            TokenEndpointError::ClientRefused { error } => client_refused(&error),
            TokenEndpointError::Refused { error, status } => provider_error(&error, status),
            // An answer came, and it was none: asking again gets the same.
            TokenEndpointError::Unavailable {
                status: Some(status @ 200..300),
                ..
            } => provider_error("unreadable_answer", status),
            TokenEndpointError::Unavailable {
                reason,
                retry_after,
                ..
            } => Self::new(
                Code::ProviderUnavailable,
                format!("the provider is not available: the token endpoint {reason}; try again"),
            )
            .retry_after(retry_after.unwrap_or(1)),
        }
    }
}

impl From<DiscoveryError> for Problem {
    fn from(error: DiscoveryError) -> Self {
        match error {
            DiscoveryError::Unavailable => {
                Self::new(Code::ProviderUnavailable, error.to_string()).retry_after(5)
            }
            DiscoveryError::Unusable(_) => {
                Self::new(Code::Misconfigured, format!("OAUTH_PROVIDERS: {error}"))
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "database");
        match error {
            StoreError::Unavailable(_) | StoreError::Refused(_) => Self::new(
                Code::StorageUnavailable,
                "the database cannot be reached or refused the statement; try again later",
            )
            .retry_after(2),
            StoreError::Schema(detail) => Self::new(Code::Misconfigured, detail),
        }
    }
}

impl From<KmsError> for Problem {
    fn from(error: KmsError) -> Self {
        let detail = format!("OAUTH_ENCRYPTION_KEY is wrapped: {error}");
        match error {
            KmsError::Setting { .. } => Self::new(Code::Misconfigured, error.to_string()),
            KmsError::Refused(_) => Self::new(Code::Misconfigured, detail),
            KmsError::Unavailable(_) => Self::new(
                Code::StorageUnavailable,
                format!("{detail}; try again later"),
            )
            .retry_after(2),
        }
    }
}

impl From<InvalidName> for Problem {
    fn from(InvalidName(field): InvalidName) -> Self {
        Self::invalid(field, "must have 1 to 255 bytes and no control characters")
    }
}

impl From<BeginError> for Problem {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::ScopeNotAllowed(scopes) => Self::invalid(
                "scope",
                format!(
                    "may not be asked for here: {} scope(s) of the request",
                    scopes.len()
                ),
            ),
            BeginError::TooLong => Self::invalid("return_to", "return_to and scope are too long"),
            BeginError::LinkUsed => Self::new(
                Code::InvalidState,
                "this link was used before: ask the application for a new one",
            ),
            BeginError::Discovery(error) => error.into(),
            BeginError::Store(error) => error.into(),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::InvalidState(reason) => Self::new(
                Code::InvalidState,
                format!("{reason}; start again from the application"),
            ),
            Failure::Malformed(reason) => Self::invalid("code", reason),
            Failure::AccessDenied => Self::new(
                Code::AccessDenied,
                "access was not granted at the provider; connect again and allow it",
            ),
            Failure::ProviderError(error) => provider_error(&error, 0),
            Failure::AccountMismatch => Self::new(
                Code::AccountMismatch,
                "this is another account than the one to connect again; choose the same account, \
                 or connect the other one as a new connection",
            ),
            Failure::Token(error) => error.into(),
            Failure::Identity(error) => {
                Self::new(Code::ProviderError, format!("{error}; connect again"))
            }
            Failure::Discovery(error) => error.into(),
            Failure::Store(error) => error.into(),
        }
    }
}

impl From<ConfirmError> for Problem {
    fn from(error: ConfirmError) -> Self {
        match error {
            ConfirmError::NotConnected => Self::not_connected(),
            ConfirmError::NotPending => Self::invalid(
                "status",
                "this connection does not wait for a confirmation: the user has to connect again",
            ),
            ConfirmError::Cipher(error) => Self::new(Code::Internal, error.to_string())
                .with("reason", "integrity_error".into()),
            ConfirmError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Rest {
            status,
            fields,
            headers,
        } = *self.rest;
        let mut body = json!({
            "type": format!("urn:grantkeep:error:{}", self.code.as_str()),
            "title": self.code.title(),
            "status": status.as_u16(),
            "detail": self.detail,
            "code": self.code.as_str(),
        });
        if let Value::Object(members) = &mut body {
            members.extend(fields);
        }
        let fixed = [
            (CONTENT_TYPE, "application/problem+json"),
            (CACHE_CONTROL, "no-store"),
            // Tells our problems from those of an API that we pass on.
            (ERROR, self.code.as_str()),
        ];
        (status, headers, fixed, body.to_string()).into_response()
    }
}
