//! An authorization server of which a test says every byte: for answers that the demo
//! provider does not give.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use grantkeep_tests::instance::Served;
use grantkeep_tests::{Reply, TestApi};
use serde_json::{Value, json};

use crate::support::{authorize, parameter};

/// What the token endpoint answers.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub location: Option<String>,
    pub body: String,
    pub delay: Duration,
}

impl Answer {
    pub fn json(body: &Value) -> Self {
        Self::text("application/json", &body.to_string())
    }

    pub fn text(content_type: &'static str, body: &str) -> Self {
        Self {
            status: 200,
            content_type,
            location: None,
            body: body.to_owned(),
            delay: Duration::ZERO,
        }
    }

    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// A token request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.body.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }
}

struct Script {
    answer: Answer,
    seen: Vec<Seen>,
    jwks: Value,
    jwks_fetched: usize,
}

/// The server.
pub struct Scripted {
    served: Served,
    script: Arc<Mutex<Script>>,
}

impl Scripted {
    pub async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script {
            answer: Answer::json(&json!({"access_token": "at", "token_type": "Bearer"})),
            seen: Vec::new(),
            jwks: json!({"keys": []}),
            jwks_fetched: 0,
        }));
        let router = Router::new()
            .route("/token", post(token))
            .route("/jwks", get(jwks))
            .with_state(Arc::clone(&script));
        Self {
            served: Served::start(router).await,
            script,
        }
    }

    pub fn origin(&self) -> &str {
        &self.served.origin
    }

    /// The next token requests get this.
    pub fn answers(&self, answer: Answer) {
        self.script.lock().expect("script").answer = answer;
    }

    /// The next key requests get this.
    pub fn publishes(&self, jwks: Value) {
        self.script.lock().expect("script").jwks = jwks;
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.script.lock().expect("script").seen.clone()
    }

    pub fn jwks_fetched(&self) -> usize {
        self.script.lock().expect("script").jwks_fetched
    }

    /// A provider `plain` here without OpenID Connect; `more` is merged over it.
    pub async fn plain(&self, more: Value) -> TestApi {
        self.plain_as("plain-id", "plain-secret", more).await
    }

    /// The same with another client.
    pub async fn plain_as(&self, id: &str, secret: &str, more: Value) -> TestApi {
        let mut entry = json!({
            "display_name": "Plain",
            "authorization_endpoint": format!("{}/authorize", self.origin()),
            "token_endpoint": format!("{}/token", self.origin()),
            "scopes": ["mail.read", "mail.send"],
            "account": {"source": "token_response", "id": "/user_id"},
            "metadata": ["user_id"],
        });
        grantkeep_providers::merge(&mut entry, more);
        TestApi::builder()
            .variable("PLAIN_CLIENT_ID", id)
            .variable("PLAIN_CLIENT_SECRET", secret)
            .provider("plain", entry)
            .start()
            .await
    }
}

async fn token(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    let answer = {
        let mut script = script.lock().expect("script");
        script.seen.push(Seen {
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        script.answer.clone()
    };
    tokio::time::sleep(answer.delay).await;
    let status = StatusCode::from_u16(answer.status).expect("a status");
    let mut response =
        (status, [("content-type", answer.content_type)], answer.body).into_response();
    if let Some(location) = answer.location {
        let location = location.parse().expect("a location");
        response.headers_mut().insert("location", location);
    }
    response
}

async fn jwks(State(script): State<Arc<Mutex<Script>>>) -> axum::Json<Value> {
    let mut script = script.lock().expect("script");
    script.jwks_fetched += 1;
    axum::Json(script.jwks.clone())
}

/// A callback with a code that nobody issued, in the browser that began: the scripted
/// server answers the same to every code.
pub async fn callback(api: &TestApi, provider: &str) -> Reply {
    let mut browser = api.visitor();
    let begun = browser.get(&authorize(provider)).await;
    assert_eq!(begun.status, 302, "{}", begun.text);
    let state = parameter(begun.header("location"), "state").expect("state");
    browser
        .get(&format!(
            "/api/oauth/{provider}/callback?code=the-code&state={state}"
        ))
        .await
}
