//! A webhook endpoint on a port of its own: records what it gets, answers as it is told,
//! and verifies signatures from the specification, not with the code that makes them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantkeep_core::webhooks::{self, Deliveries};
use grantkeep_tests::instance::Served;
use grantkeep_tests::{TestApi, TestApiBuilder, database};
use serde_json::Value;
use tokio::time::Instant;

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How the receiver answers one request.
#[derive(Clone)]
pub enum Answer {
    Status(u16),
    /// With a header.
    With(u16, &'static str, String),
    /// 200 with so many bytes.
    Long(usize),
    /// Not at all, for this long.
    After(Duration),
}

/// A request as it came.
#[derive(Clone)]
pub struct Received {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    /// Which of its signatures this secret makes.
    pub fn signed_by(&self, secret: &str) -> Option<usize> {
        let key = secret.strip_prefix("whsec_").expect("the prefix");
        let key = STANDARD.decode(key).expect("base64");
        let mut content = format!(
            "{}.{}.",
            self.header("webhook-id"),
            self.header("webhook-timestamp")
        )
        .into_bytes();
        content.extend_from_slice(&self.body);
        let expected = format!("v1,{}", STANDARD.encode(hmac_sha256(&key, &content)));
        self.header("webhook-signature")
            .split(' ')
            .position(|signature| signature == expected)
    }
}

/// RFC 2104, for keys of at most 64 bytes.
fn hmac_sha256(key: &[u8], content: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block
            .iter_mut()
            .zip(key)
            .for_each(|(byte, key)| *byte ^= key);
        block.to_vec()
    };
    let inner = digest(&SHA256, &[pad(0x36), content.to_vec()].concat());
    let outer = digest(&SHA256, &[pad(0x5c), inner.as_ref().to_vec()].concat());
    outer.as_ref().to_vec()
}

#[derive(Default)]
struct Inner {
    received: Mutex<Vec<Received>>,
    answers: Mutex<VecDeque<Answer>>,
}

/// A running receiver.
pub struct Receiver {
    pub url: String,
    inner: Arc<Inner>,
    _server: Served,
}

impl Receiver {
    pub async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let router = Router::new().fallback(receive).with_state(inner.clone());
        let server = Served::start(router).await;
        Self {
            url: format!("{}/in?key=canary", server.origin),
            inner,
            _server: server,
        }
    }

    /// What the next requests get, in this order; all further ones get 200.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        let mut waiting = self.inner.answers.lock().expect("answers");
        waiting.clear();
        waiting.extend(answers);
    }

    pub fn received(&self) -> Vec<Received> {
        self.inner.received.lock().expect("received").clone()
    }

    pub fn kinds(&self) -> Vec<String> {
        self.received().iter().map(Received::kind).collect()
    }
}

async fn receive(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let received = Received { headers, body };
    inner.received.lock().expect("received").push(received);
    let answer = inner.answers.lock().expect("answers").pop_front();
    let status = |code: u16| StatusCode::from_u16(code).expect("a status");
    match answer.unwrap_or(Answer::Status(200)) {
        Answer::Status(code) => status(code).into_response(),
        Answer::With(code, name, value) => (status(code), [(name, value)]).into_response(),
        Answer::Long(bytes) => vec![b'x'; bytes].into_response(),
        Answer::After(time) => {
            tokio::time::sleep(time).await;
            status(200).into_response()
        }
    }
}

/// Settings that send webhooks there.
pub fn with_webhook(url: &str, secret: &str) -> TestApiBuilder {
    TestApi::builder()
        .variable("WEBHOOK_URL", url)
        .variable("WEBHOOK_SECRET", secret)
}

/// One run of deliveries, as a schedule makes it.
pub async fn deliver(api: &TestApi) -> Deliveries {
    let until = Instant::now() + Duration::from_secs(20);
    webhooks::deliver(&api.app, until).await.expect("delivers")
}

/// Writes an event as old as this, in the form of an interval.
pub async fn event(api: &TestApi, kind: &str, age: &str) {
    api.app
        .store
        .write("select 1 from oauth_tokens", &[])
        .await
        .expect("tables");
    let sql = format!(
        "insert into connection_events (id, type, provider, workspace_id, actor_id, account,
                                        created_at)
         values (gen_random_uuid(), '{kind}', 'gmail', 'default', 'default',
                 'alice@example.test', now() - interval '{age}')"
    );
    database::execute(&api.database_url, &sql).await;
}

/// Lets every wait between attempts be over.
pub async fn wait_is_over(api: &TestApi) {
    let sql = "update connection_events set deliver_at = now()";
    database::execute(&api.database_url, sql).await;
}
