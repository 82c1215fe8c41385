//! How the token endpoint writes what it decided: one shape per quirk of a real provider.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::knobs::{ExpiresIn, Knobs, ResponseFormat, ScopeEcho};

const HUGE: usize = 16 << 20;

/// A successful answer, before it is written.
pub(crate) struct TokenSet {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) id_token: Option<String>,
}

/// An error answer, before it is written.
pub(crate) struct Refusal {
    status: StatusCode,
    error: String,
    description: &'static str,
}

impl Refusal {
    /// An RFC 6749 error with the status that goes with its code.
    pub(crate) fn new(error: &str, description: &'static str) -> Refusal {
        let status = match error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "server_error" | "internal_failure" => StatusCode::INTERNAL_SERVER_ERROR,
            "slow_down" | "rate_limit_exceeded" => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::BAD_REQUEST,
        };
        Refusal {
            status,
            error: error.to_owned(),
            description,
        }
    }

    /// The same error with another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Refusal {
        Refusal { status, ..self }
    }

    pub(crate) fn into_response(self, knobs: &Knobs) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(seconds) = &knobs.retry_after
            && let Ok(value) = HeaderValue::from_str(seconds)
        {
            headers.insert(header::RETRY_AFTER, value);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        }
        let mut members = Map::new();
        members.insert("error".to_owned(), self.error.into());
        let mut status = self.status;
        if knobs.ok_false_errors {
            members.insert("ok".to_owned(), false.into());
            status = StatusCode::OK;
        } else {
            members.insert("error_description".to_owned(), self.description.into());
        }
        if knobs.error_with_status_200 {
            status = StatusCode::OK;
        }
        (status, headers, written(members, knobs)).into_response()
    }
}

impl TokenSet {
    pub(crate) fn into_response(self, knobs: &Knobs) -> Response {
        let mut set = Map::new();
        if !knobs.omit_access_token {
            set.insert("access_token".to_owned(), self.access_token.into());
        }
        if let Some(expires_in) = expires_in(knobs) {
            set.insert("expires_in".to_owned(), expires_in);
        }
        if let Some(refresh_token) = self.refresh_token {
            set.insert("refresh_token".to_owned(), refresh_token.into());
            if let Some(seconds) = knobs.refresh_token_expires_in {
                set.insert("refresh_token_expires_in".to_owned(), seconds.into());
            }
        }
        if let Some((name, value)) = scope_echo(knobs.scope_echo, &self.scopes) {
            set.insert(name.to_owned(), value);
        }
        set.insert("token_type".to_owned(), knobs.token_type.clone().into());
        if let Some(id_token) = self.id_token {
            set.insert("id_token".to_owned(), id_token.into());
        }

        let mut members = match &knobs.nest_under {
            Some(name) => Map::from_iter([(name.clone(), Value::Object(set))]),
            None => set,
        };
        if knobs.ok_false_errors {
            members.insert("ok".to_owned(), true.into());
        }
        members.extend(knobs.extra_members.clone());
        written(members, knobs)
    }
}

/// Valid JSON of this answer's members, padded to 16 MiB.
pub(crate) fn huge() -> Response {
    let mut body =
        br#"{"token_type":"Bearer","expires_in":3599,"access_token":"ya29.huge""#.to_vec();
    body.resize(HUGE - 1, b' ');
    body.push(b'}');
    (
        [(header::CONTENT_TYPE, "application/json")],
        Body::from(body),
    )
        .into_response()
}

/// JSON that ends in the middle of a token.
pub(crate) fn garbage() -> Response {
    let body = r#"{"token_type":"Bearer","access_token":"ya29.cut-o"#;
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn expires_in(knobs: &Knobs) -> Option<Value> {
    let seconds = knobs.access_token_lifetime_s;
    match knobs.expires_in {
        ExpiresIn::Number => Some(seconds.into()),
        ExpiresIn::String => Some(seconds.to_string().into()),
        ExpiresIn::Float => Some((seconds as f64 + 0.5).into()),
        ExpiresIn::Absent => None,
        ExpiresIn::Negative => Some((-1).into()),
        ExpiresIn::Zero => Some(0.into()),
        ExpiresIn::Huge => Some(1_000_000_000_000_000_000_u64.into()),
    }
}

fn scope_echo(echo: ScopeEcho, scopes: &[String]) -> Option<(&'static str, Value)> {
    match echo {
        ScopeEcho::String => Some(("scope", scopes.join(" ").into())),
        ScopeEcho::Comma => Some(("scope", scopes.join(",").into())),
        ScopeEcho::Array => Some(("scope", json!(scopes))),
        ScopeEcho::ArrayInScopes => Some(("scopes", json!(scopes))),
        ScopeEcho::Empty => Some(("scope", "".into())),
        ScopeEcho::Absent => None,
    }
}

fn written(members: Map<String, Value>, knobs: &Knobs) -> Response {
    let (content_type, body) = match knobs.response_format {
        ResponseFormat::Json => (
            "application/json; charset=utf-8",
            Value::Object(members).to_string(),
        ),
        ResponseFormat::Form => ("application/x-www-form-urlencoded", form(members)),
    };
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    (headers, body).into_response()
}

fn form(members: Map<String, Value>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in members {
        match value {
            Value::String(text) => form.append_pair(&name, &text),
            other => form.append_pair(&name, &other.to_string()),
        };
    }
    form.finish()
}
