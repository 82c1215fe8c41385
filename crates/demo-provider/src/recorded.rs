//! What was asked of the demo provider, for tests to look at.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::client::{ClientAuth, Presented};
use crate::parameters::Parameters;
use crate::world::Shared;

/// Room for the largest message that can be sent, in base64.
const BODY_LIMIT: usize = 64 << 20;

/// One request that arrived. Its secrets are shown: they are worth nothing outside this process.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Recorded {
    /// The request method.
    pub method: String,
    /// The path, for example `/token`.
    pub endpoint: String,
    /// The query's parameters in order.
    pub query: Vec<(String, String)>,
    /// The body's parameters in order, from a form or a JSON object.
    pub parameters: Vec<(String, String)>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The `Accept` header.
    pub accept: Option<String>,
    /// How the client proved itself.
    pub client_auth: ClientAuth,
    /// The client id, from the header or the body.
    pub client_id: Option<String>,
    /// `grant_type` of a token request.
    pub grant_type: Option<String>,
    /// Whether `code_verifier` was sent.
    pub has_code_verifier: bool,
    /// Whether `redirect_uri` was sent in the body.
    pub has_redirect_uri: bool,
    /// `scope` as sent in the body.
    pub scope: Option<String>,
    /// The bearer token, if there was one.
    pub bearer: Option<String>,
}

impl Recorded {
    /// The first value of a parameter, from the body or else from the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.parameters.iter().chain(&self.query);
        pairs
            .find(|(sent, _)| sent == name)
            .map(|(_, value)| value.as_str())
    }

    fn read(parts: &Parts, body: &[u8]) -> Recorded {
        let text = |name| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let content_type = text(header::CONTENT_TYPE);
        let parameters = Parameters::from_body(content_type, body);
        let client = Presented::read(&parts.headers, &parameters);
        let query = parts.uri.query().unwrap_or_default();
        Recorded {
            method: parts.method.to_string(),
            endpoint: parts.uri.path().to_owned(),
            query: Parameters::from_form(query.as_bytes()).into_pairs(),
            content_type: content_type.map(str::to_owned),
            accept: text(header::ACCEPT).map(str::to_owned),
            client_auth: client.method,
            client_id: client.id,
            grant_type: parameters.get("grant_type").map(str::to_owned),
            has_code_verifier: parameters.get("code_verifier").is_some(),
            has_redirect_uri: parameters.get("redirect_uri").is_some(),
            scope: parameters.get("scope").map(str::to_owned),
            bearer: crate::gate::bearer(&parts.headers).map(str::to_owned),
            parameters: parameters.into_pairs(),
        }
    }
}

/// Notes a request before it is answered, so that one whose answer is lost is counted too.
pub(crate) async fn record(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    shared.world().recorded.push(Recorded::read(&parts, &body));
    next.run(Request::from_parts(parts, Body::from(body))).await
}
