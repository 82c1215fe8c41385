//! What handlers take from a request; everything that does not fit is a [`Problem`].

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{ACCEPT, CONTENT_TYPE, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use grantkeep_core::connection::name;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::problem::{Code, Problem};

/// The most that is read of a request's body, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
/// The same where files come in; hosts let less through.
pub const MAX_LARGE_BODY: usize = 6 * 1024 * 1024;

/// The query as pairs, in order. Hosts add the route's own parameters to it, so
/// unknown names are normal.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query or a form.
    pub fn parse(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    /// A parameter that may be given once; an empty one counts as absent.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self
            .0
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str());
        let first = values.next();
        match values.next() {
            Some(_) => Err(Problem::invalid(name, "is given more than once")),
            None => Ok(first.filter(|value| !value.is_empty())),
        }
    }

    /// A name, checked; absent where it is not given.
    pub fn name(&self, field: &'static str) -> Result<Option<String>, Problem> {
        let value = self.one(field)?.map(|value| name(field, value));
        Ok(value.transpose()?)
    }

    /// An id, checked; absent where it is not given.
    pub fn id(&self, field: &str) -> Result<Option<Uuid>, Problem> {
        let value = self.one(field)?.map(Uuid::try_parse).transpose();
        value.map_err(|_| Problem::invalid(field, "must be an id (a UUID)"))
    }

    /// Whether a parameter is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Every pair.
    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::parse(
            parts.uri.query().unwrap_or_default().as_bytes(),
        ))
    }
}

/// One parameter of the path, percent-decoded.
pub struct Path(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<String>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| Problem::invalid("path", "is not valid UTF-8"))
    }
}

/// A JSON body with its content type.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read_json(request, MAX_BODY).await.map(Self)
    }
}

/// The same with room for files.
pub struct LargeJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for LargeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read_json(request, MAX_LARGE_BODY).await.map(Self)
    }
}

async fn read_json<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, Problem> {
    require_json(&request)?;
    let body = body_within(request, limit).await?;
    let mut reader = serde_json::Deserializer::from_slice(&body);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        // The parser's own words can repeat a value, and values can be secrets.
        let path = error.path().to_string();
        let inner = error.into_inner();
        match inner.is_data() {
            true if path == "." => Problem::invalid("body", data_message(&inner)),
            true => Problem::invalid(&path, data_message(&inner)),
            false => not_json(&inner),
        }
    })?;
    // Two readers of one body must not see two different things.
    reader.end().map_err(|error| not_json(&error))?;
    Ok(read)
}

/// A body that says it is JSON, unparsed, for who reads it with other rules.
pub struct JsonText(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_json(&request)?;
        body(request).await.map(Self)
    }
}

fn require_json(request: &Request) -> Result<(), Problem> {
    match has_type(request.headers(), "application/json") {
        true => Ok(()),
        false => Err(Problem::invalid("Content-Type", "must be application/json")
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}

fn not_json(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::invalid(
        "body",
        format!("is not JSON at line {line} column {column}"),
    )
}

fn data_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let named = |beginning: &str| {
        let name = text.strip_prefix(beginning)?.split('`').next()?;
        Some(name.to_owned())
    };
    match (named("missing field `"), named("unknown field `")) {
        (Some(field), _) => format!("the field {field} is missing"),
        // The name is the caller's: it can hold anything.
        (_, Some(field)) if field.len() <= 40 && field.bytes().all(is_name) => {
            format!("has no field {field}")
        }
        _ => "has the wrong type or an unknown value".to_owned(),
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A form body with its content type, such as `form_post` sends.
pub struct Form(pub Query);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !has_type(request.headers(), "application/x-www-form-urlencoded") {
            return Err(Problem::invalid(
                "Content-Type",
                "must be application/x-www-form-urlencoded",
            )
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        Ok(Self(Query::parse(&body(request).await?)))
    }
}

/// The whole body, at most [`MAX_BODY`].
pub async fn body(request: Request) -> Result<Bytes, Problem> {
    body_within(request, MAX_BODY).await
}

async fn body_within(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let limited = Limited::new(request.into_body(), limit);
    limited
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| match error.is::<LengthLimitError>() {
            true => Problem::new(
                Code::InvalidRequest,
                format!("the body is larger than {} MiB", limit >> 20),
            )
            .with_status(StatusCode::PAYLOAD_TOO_LARGE),
            false => Problem::invalid("body", "could not be read to its end"),
        })
}

fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

/// The value of one cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// Whether the one who asks is a browser that shows pages.
pub fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}
