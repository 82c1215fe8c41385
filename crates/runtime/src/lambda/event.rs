//! An HTTP API event (payload format 2.0) as the request that it stands for.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use serde::Deserialize;

/// Why an invocation is no HTTP request. Quotes nothing of it, so it can be logged.
#[derive(Debug, PartialEq, Eq)]
pub enum Unusable {
    NotHttp,
    Method,
    Path,
    Body,
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unusable::NotHttp => "not an HTTP API event of payload format 2.0",
            Unusable::Method => "the method is malformed",
            Unusable::Path => "the path or query is malformed",
            Unusable::Body => "the body is not base64",
        })
    }
}

/// The part of an event that makes up the request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    #[serde(borrow)]
    raw_path: Cow<'a, str>,
    #[serde(borrow, default)]
    raw_query_string: Cow<'a, str>,
    #[serde(borrow)]
    headers: Option<HashMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(borrow)]
    cookies: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    body: Option<Cow<'a, str>>,
    #[serde(default)]
    is_base64_encoded: bool,
    #[serde(borrow)]
    request_context: RequestContext<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    #[serde(borrow)]
    http: Http<'a>,
    #[serde(borrow)]
    domain_name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Http<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
}

impl<'a> Event<'a> {
    /// Reads an invocation's JSON.
    pub fn parse(json: &'a str) -> Result<Event<'a>, Unusable> {
        serde_json::from_str(json).map_err(|_| Unusable::NotHttp)
    }

    /// The request with its path, query and cookies as the client sent them.
    pub fn into_request(self) -> Result<Request<Full<Bytes>>, Unusable> {
        let method = Method::from_bytes(self.request_context.http.method.as_bytes());
        let mut request = Request::new(Full::new(body(self.body, self.is_base64_encoded)?));
        *request.method_mut() = method.map_err(|_| Unusable::Method)?;
        *request.uri_mut() = uri(&self.raw_path, &self.raw_query_string)?;

        let headers = request.headers_mut();
        for (name, value) in self.headers.iter().flatten() {
            insert(headers, name, value);
        }
        if let Some(domain) = &self.request_context.domain_name
            && !headers.contains_key(header::HOST)
        {
            insert(headers, "host", domain);
        }
        if let Some(cookies) = self.cookies.filter(|cookies| !cookies.is_empty()) {
            insert(headers, "cookie", &cookies.join("; "));
        }
        Ok(request)
    }
}

fn body(body: Option<Cow<'_, str>>, is_base64: bool) -> Result<Bytes, Unusable> {
    let text = body.unwrap_or_default();
    if is_base64 {
        return STANDARD
            .decode(text.as_bytes())
            .map(Bytes::from)
            .map_err(|_| Unusable::Body);
    }
    Ok(Bytes::from(text.into_owned()))
}

/// Path and query, relative to the host, as a request on a connection has them.
///
/// A function URL delivers the path as sent; an HTTP API delivers it percent-decoded. So whatever
/// cannot stand in a path is encoded again, and what can stays as it is.
fn uri(path: &str, query: &str) -> Result<Uri, Unusable> {
    let mut uri = String::with_capacity(path.len() + query.len() + 1);
    if !path.starts_with('/') {
        uri.push('/');
    }
    encode_missing(path.as_bytes(), b"?#", &mut uri);
    if !query.is_empty() {
        uri.push('?');
        encode_missing(query.as_bytes(), b"#", &mut uri);
    }
    uri.parse().map_err(|_| Unusable::Path)
}

/// Appends `bytes`, percent-encoding what may not stand there: anything but visible ASCII,
/// `delimiters`, quotes and brackets that `http` refuses, and a `%` that starts no escape.
fn encode_missing(bytes: &[u8], delimiters: &[u8], to: &mut String) {
    for (at, &byte) in bytes.iter().enumerate() {
        let allowed = match byte {
            b'%' => bytes
                .get(at + 1..at + 3)
                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => false,
            _ => byte.is_ascii_graphic() && !delimiters.contains(&byte),
        };
        if allowed {
            to.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            to.extend([
                '%',
                char::from(HEX[usize::from(byte >> 4)]),
                char::from(HEX[usize::from(byte & 15)]),
            ]);
        }
    }
}

/// A header that cannot stand in a request is left out rather than failing all of it.
fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_bytes(value.as_bytes()),
    ) {
        headers.insert(name, value);
    }
}
