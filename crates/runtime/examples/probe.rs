//! A function that tells what reached it and misbehaves on request, for the tests of the hosts.

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::{any, get, post};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use hyper::body::Frame;
use serde_json::{Map, Value, json};

static STARTS: AtomicU32 = AtomicU32::new(0);

fn main() -> ExitCode {
    grantkeep_runtime::serve(start)
}

fn start() -> Router {
    // Panics outside a runtime, as a connection pool's first use would.
    tokio::runtime::Handle::current();
    STARTS.fetch_add(1, Ordering::Relaxed);

    Router::new()
        .route(
            "/starts",
            get(async || STARTS.load(Ordering::Relaxed).to_string()),
        )
        .route("/panic", any(panic))
        .route("/cookies", get(cookies))
        .route("/bytes", get(async || (0..=255).collect::<Vec<u8>>()))
        .route("/body", any(async |body: Bytes| body))
        .route("/latin1", get(latin1))
        .route("/broken-off", get(broken_off))
        .route("/slow", get(slow))
        .route("/guarded", post(guarded))
        .fallback(any(echo))
}

async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let values = |name| {
        headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
    };
    let headers: Map<String, Value> = headers
        .keys()
        .map(|name| (name.to_string(), values(name).collect()))
        .collect();
    let seen = json!({
        "method": method.as_str(),
        "uri": uri.to_string(),
        "headers": headers,
        "body_length": body.len(),
    });
    (
        [(header::CONTENT_TYPE, "application/json")],
        seen.to_string(),
    )
}

/// Only for who shows `the-secret`, and with a query.
async fn guarded(uri: Uri, headers: HeaderMap) -> StatusCode {
    let shown = headers.get(header::AUTHORIZATION);
    match shown.is_some_and(|value| value == "Bearer the-secret") && uri.query().is_some() {
        true => StatusCode::OK,
        false => StatusCode::UNAUTHORIZED,
    }
}

async fn panic() {
    tokio::task::yield_now().await;
    panic!("the secret is hunter2");
}

async fn cookies() -> impl IntoResponse {
    AppendHeaders([
        (header::SET_COOKIE, "first=1; Path=/; HttpOnly"),
        (
            header::SET_COOKIE,
            "second=2; Path=/; Expires=Wed, 21 Oct 2037 07:28:00 GMT",
        ),
        (header::VARY, "cookie"),
        (header::VARY, "origin"),
    ])
}

async fn latin1() -> impl IntoResponse {
    let value = HeaderValue::from_bytes(b"caf\xe9").expect("opaque bytes are allowed");
    ([("x-latin1", value)], "latin1")
}

/// A body that fails after its first piece.
struct BrokenOff {
    begun: bool,
}

impl hyper::body::Body for BrokenOff {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if self.begun {
            return Poll::Ready(Some(Err("the secret is hunter2")));
        }
        self.begun = true;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from("half an answer")))))
    }
}

async fn broken_off() -> Body {
    Body::new(BrokenOff { begun: false })
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(300)).await;
    println!("slow is done");
    "slow"
}
