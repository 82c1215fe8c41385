//! An API that remembers what it was asked, and answers 401 to tokens that it is told to refuse.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use grantkeep_tests::http::send;
use grantkeep_tests::{Reply, TestApi, TestApiBuilder, api};
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// One request that arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Asked {
    pub fn bearer(&self) -> &str {
        let value = self.headers["authorization"].to_str().expect("text");
        value.strip_prefix("Bearer ").expect("a bearer")
    }
}

/// The running API; it ends with the test's runtime.
#[derive(Clone, Default)]
pub struct Upstream(Arc<Inner>);

#[derive(Default)]
struct Inner {
    asked: Mutex<Vec<Asked>>,
    refuse_first: Mutex<usize>,
    /// Lets a stream that waits go on.
    pub go_on: Notify,
    /// Somebody has read a first piece of an upload.
    pub arrived: Notify,
}

impl Upstream {
    pub async fn start() -> (Self, String) {
        let upstream = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("address"));
        let router = Router::new()
            .route("/v1/status/{status}", any(status))
            .route("/v1/moved", any(moved))
            .route("/v1/chatty", get(chatty))
            .route("/v1/drip", get(drip))
            .route("/v1/upload", post(upload))
            .route("/v1/large/{size}", get(large))
            .route("/v1/silent", any(silent))
            .fallback(any(echo))
            .with_state(upstream.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (upstream, origin)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.0.asked.lock().expect("lock").clone()
    }

    /// Answers 401 to so many of the next requests.
    pub fn refuse_next(&self, count: usize) {
        *self.0.refuse_first.lock().expect("lock") = count;
    }

    pub fn go_on(&self) {
        self.0.go_on.notify_one();
    }

    pub async fn upload_began(&self) {
        let limit = Duration::from_secs(10);
        let arrived = tokio::time::timeout(limit, self.0.arrived.notified());
        arrived.await.expect("a first piece in time");
    }

    fn note(&self, parts: &http::request::Parts, body: Bytes) -> Option<Response> {
        self.0.asked.lock().expect("lock").push(Asked {
            method: parts.method.to_string(),
            target: parts.uri.to_string(),
            headers: parts.headers.clone(),
            body,
        });
        let mut left = self.0.refuse_first.lock().expect("lock");
        if *left == 0 {
            return None;
        }
        *left -= 1;
        let challenge = [("www-authenticate", "Bearer error=\"invalid_token\"")];
        Some((StatusCode::UNAUTHORIZED, challenge, "no").into_response())
    }
}

async fn echo(State(upstream): State<Upstream>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    if let Some(refused) = upstream.note(&parts, body.clone()) {
        return refused;
    }
    let seen = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "length": body.len(),
    });
    ([("content-type", "application/json")], seen.to_string()).into_response()
}

async fn status(Path(status): Path<u16>) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [("x-api", "says")], "the API's own words").into_response()
}

async fn moved() -> Response {
    let location = [("location", "http://127.0.0.1:1/elsewhere")];
    (StatusCode::FOUND, location).into_response()
}

async fn chatty() -> Response {
    let headers = [
        ("set-cookie", "api=1"),
        ("www-authenticate", "Bearer"),
        ("cache-control", "public, max-age=600"),
        ("etag", "\"7\""),
        ("retry-after", "3"),
        ("access-control-allow-origin", "*"),
        ("x-grantkeep-error", "forged"),
        ("content-encoding", "x-own"),
    ];
    (headers, "body").into_response()
}

/// A piece, and the next when the test says so.
async fn drip(State(upstream): State<Upstream>) -> Body {
    let (mut sender, body) = Channel::<Bytes>::new(1);
    tokio::spawn(async move {
        for piece in ["first", "second"] {
            if sender.send_data(Bytes::from(piece)).await.is_err() {
                return;
            }
            upstream.0.go_on.notified().await;
        }
    });
    Body::new(body)
}

async fn upload(State(upstream): State<Upstream>, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, Bytes::len);
        upstream.0.arrived.notify_one();
    }
    if let Some(refused) = upstream.note(&parts, Bytes::new()) {
        return refused;
    }
    length.to_string().into_response()
}

async fn silent() {
    std::future::pending().await
}

async fn large(Path(size): Path<usize>) -> Vec<u8> {
    vec![b'x'; size]
}

/// Grantkeep with Gmail's API at an [`Upstream`], which also has a path of its own.
pub async fn with_upstream() -> (TestApi, Upstream) {
    with(TestApi::builder()).await
}

pub async fn with(builder: TestApiBuilder) -> (TestApi, Upstream) {
    let (upstream, origin) = Upstream::start().await;
    let base = json!({"api_base": format!("{origin}/v1")});
    let api = builder.provider("gmail", base).start().await;
    (api, upstream)
}

/// A call of Gmail's API with the service key that may do everything.
pub async fn call(api: &TestApi, method: &str, path: &str, body: &'static str) -> Reply {
    let request = api
        .request(method, &format!("/api/proxy/gmail/{path}"))
        .bearer_auth(api::KEY)
        .body(body);
    send(request).await
}

/// The access token that is stored now.
pub async fn stored_token(api: &TestApi) -> String {
    let token = api.token("gmail").await.json()["access_token"].clone();
    match token {
        Value::String(token) => token,
        _ => panic!("no token"),
    }
}
