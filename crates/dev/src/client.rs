//! HTTP as callers and browsers speak it: one request at a time, cookies kept by hand, and no
//! redirect followed unseen.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, Method, Request, request};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use url::{Url, form_urlencoded};

/// The longest that one answer may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What came back, read to the end.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// As sent.
    pub headers: HeaderMap,
    /// As text.
    pub text: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Where a redirect from `base` leads.
    pub fn location(&self, base: &str) -> Option<Url> {
        let location = self.headers.get(LOCATION)?.to_str().ok()?;
        Url::parse(base).ok()?.join(location).ok()
    }

    /// Status and error, for a person who asks why a step failed; never a token.
    pub fn summary(&self) -> String {
        let body = self.json();
        let said = ["code", "detail", "error", "status"]
            .iter()
            .filter_map(|member| body.get(member)?.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        match said.is_empty() {
            true => self.status.to_string(),
            false => format!("{} ({said})", self.status),
        }
    }
}

/// Another serverless endpoint: sends a service key, or a token to an API.
pub async fn get_as(bearer: &str, url: &str) -> Result<Answer, String> {
    let request = request(Method::GET, url)?.header(AUTHORIZATION, format!("Bearer {bearer}"));
    send(request, url, String::new()).await
}

/// The same with further headers.
pub async fn get_with(bearer: &str, url: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
    let request = request(Method::GET, url)?.header(AUTHORIZATION, format!("Bearer {bearer}"));
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    send(request, url, String::new()).await
}

/// The same with another method and a JSON body.
pub async fn send_as(
    bearer: &str,
    method: Method,
    url: &str,
    body: &Value,
) -> Result<Answer, String> {
    let request = request(method, url)?
        .header(AUTHORIZATION, format!("Bearer {bearer}"))
        .header(CONTENT_TYPE, "application/json");
    send(request, url, body.to_string()).await
}

/// The user's browser. Cookies go to every port of a host, as browsers do it.
#[derive(Default)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Opens an address.
    pub async fn get(&mut self, url: &str) -> Result<Answer, String> {
        self.go(request(Method::GET, url)?, url, String::new())
            .await
    }

    /// Submits a form of the page at `url` to that address.
    pub async fn submit(&mut self, url: &str, form: &[(&str, &str)]) -> Result<Answer, String> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = request(Method::POST, url)?
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ORIGIN, origin(url)?);
        self.go(request, url, body).await
    }

    /// What a page's script does to delete something at its own origin.
    pub async fn delete(&mut self, url: &str) -> Result<Answer, String> {
        let request = request(Method::DELETE, url)?.header(ORIGIN, origin(url)?);
        self.go(request, url, String::new()).await
    }

    /// Names of the cookies that are kept.
    pub fn cookies(&self) -> impl Iterator<Item = &str> {
        self.cookies.keys().map(String::as_str)
    }

    async fn go(
        &mut self,
        request: request::Builder,
        url: &str,
        body: String,
    ) -> Result<Answer, String> {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = match pairs.is_empty() {
            true => request,
            false => request.header(COOKIE, pairs.join("; ")),
        };
        let answer = send(request, url, body).await?;
        for value in answer.headers.get_all(SET_COOKIE) {
            self.keep(value.to_str().unwrap_or_default());
        }
        Ok(answer)
    }

    fn keep(&mut self, set_cookie: &str) {
        let mut parts = set_cookie.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        if parts.any(|part| part.eq_ignore_ascii_case("max-age=0")) {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

fn request(method: Method, url: &str) -> Result<request::Builder, String> {
    let url = parsed(url)?;
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    Ok(Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, authority(&url)))
}

fn parsed(url: &str) -> Result<Url, String> {
    Url::parse(url).map_err(|_| "an address that is none".to_owned())
}

fn origin(url: &str) -> Result<String, String> {
    Ok(parsed(url)?.origin().ascii_serialization())
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port_or_known_default().unwrap_or_default())
}

async fn send(request: request::Builder, url: &str, body: String) -> Result<Answer, String> {
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let authority = authority(&parsed(url)?);
    let answer = tokio::time::timeout(TIMEOUT, exchange(request, &authority)).await;
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("{authority}: {error}")),
        Err(_) => Err(format!("{authority}: no answer in time")),
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(request: Request<Full<Bytes>>, authority: &str) -> Result<Answer, AnyError> {
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    drop(sender);
    // What happens to a connection after its answer was read is of no interest.
    connection.abort();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        text: String::from_utf8_lossy(&body).into_owned(),
    })
}
