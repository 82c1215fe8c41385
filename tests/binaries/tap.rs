//! Stands between Grantkeep and the demo provider's token endpoint: notes every secret that
//! passes, and instead of an answer says the request back in all the ways that providers do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use grantkeep_tests::http::client;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::form_urlencoded;

/// What the token endpoint does instead of what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// 400, `invalid_request`, the request in `error_description` and everywhere beside it.
    Description,
    /// 401, `invalid_client`, the same.
    Client,
    /// 400 with an `error` that is no code but a sentence with the request in it.
    Sentence,
    /// 500 and a page with the request in it.
    Page,
    /// 302 to an address with the request in it.
    Redirect,
    /// 200 and the request as text.
    Text,
    /// The performed request's answer, cut off after the tokens.
    Cut,
    /// 400, `invalid_grant`, the request in `error_description`.
    Dead,
}

impl Fault {
    /// Every fault; the one that ends a connection is the last.
    pub const ALL: [Fault; 8] = [
        Fault::Description,
        Fault::Client,
        Fault::Sentence,
        Fault::Page,
        Fault::Redirect,
        Fault::Text,
        Fault::Cut,
        Fault::Dead,
    ];
}

/// In every faulty answer, as Microsoft sends it.
pub const TRACE_ID: &str = "0f8a5b1e-6a0c-4f0e-9d1b-3c1f2e7a9b00";

/// A running tap.
pub struct Tap {
    /// Its token endpoint.
    pub endpoint: String,
    shared: Arc<Mutex<Shared>>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    target: String,
    fault: Option<Fault>,
    seen: Vec<(String, String)>,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Tap {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}/token", listener.local_addr().expect("address"));
        let shared = Arc::<Mutex<Shared>>::default();
        let router = Router::new()
            .route("/token", post(token))
            .with_state(shared.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serves");
        });
        Self {
            endpoint,
            shared,
            server,
        }
    }

    /// Where requests go that no fault answers.
    pub fn lead_to(&self, target: String) {
        lock(&self.shared).target = target;
    }

    /// What happens to requests from now on.
    pub fn set(&self, fault: Option<Fault>) {
        lock(&self.shared).fault = fault;
    }

    /// Every parameter and member that is a secret, by its name.
    pub fn secrets(&self) -> Vec<(String, String)> {
        lock(&self.shared).seen.clone()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

const SECRET: [&str; 6] = [
    "code",
    "code_verifier",
    "client_secret",
    "access_token",
    "refresh_token",
    "id_token",
];

fn note(shared: &Mutex<Shared>, pairs: impl Iterator<Item = (String, String)>) {
    let secret = pairs.filter(|(name, _)| SECRET.contains(&name.as_str()));
    lock(shared).seen.extend(secret);
}

async fn token(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a request's body");
    note(&shared, form_urlencoded::parse(&body).into_owned());
    let (fault, target) = {
        let shared = lock(&shared);
        (shared.fault, shared.target.clone())
    };
    let said = String::from_utf8_lossy(&body).into_owned();
    match fault {
        None | Some(Fault::Cut) => perform(&shared, &target, parts.headers, body, fault).await,
        Some(fault) => refuse(fault, &said),
    }
}

async fn perform(
    shared: &Mutex<Shared>,
    target: &str,
    headers: HeaderMap,
    body: bytes::Bytes,
    fault: Option<Fault>,
) -> Response {
    let mut request = client().post(target).body(body);
    for name in [header::CONTENT_TYPE, header::AUTHORIZATION, header::ACCEPT] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.expect("the demo provider answers");
    let status = answer.status();
    let text = answer.text().await.expect("a body");
    let members: Value = serde_json::from_str(&text).unwrap_or_default();
    let members = members.as_object().cloned().unwrap_or_default();
    let texts = members
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
    note(shared, texts);
    let text = match fault {
        Some(_) => text[..text.len() - 1].to_owned(),
        None => text,
    };
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, Body::from(text)).into_response()
}

fn refuse(fault: Fault, said: &str) -> Response {
    let error = |status: StatusCode, error: &str| {
        let members = json!({
            "error": error,
            "error_description": format!("AADSTS50196: cannot serve {said}"),
            "error_uri": format!("https://login.test/?{said}"),
            "error_codes": [50196],
            "trace_id": TRACE_ID,
            "correlation_id": said,
            "suberror": said,
            "claims": said,
        });
        let headers = [
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (header::WWW_AUTHENTICATE, format!("Bearer realm=\"{said}\"")),
        ];
        (status, headers, members.to_string()).into_response()
    };
    match fault {
        Fault::Description => error(StatusCode::BAD_REQUEST, "invalid_request"),
        Fault::Client => error(StatusCode::UNAUTHORIZED, "invalid_client"),
        Fault::Dead => error(StatusCode::BAD_REQUEST, "invalid_grant"),
        Fault::Sentence => error(StatusCode::BAD_REQUEST, &format!("cannot serve {said}")),
        Fault::Page => {
            let page = format!("<!doctype html><title>Error</title><pre>{said}</pre>");
            (StatusCode::INTERNAL_SERVER_ERROR, page).into_response()
        }
        Fault::Redirect => {
            let elsewhere = format!("https://login.test/?{said}");
            (StatusCode::FOUND, [(header::LOCATION, elsewhere)]).into_response()
        }
        Fault::Text | Fault::Cut => said.to_owned().into_response(),
    }
}
