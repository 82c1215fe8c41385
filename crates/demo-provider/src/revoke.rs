//! `POST /revoke`: RFC 7009, with Google's reach: one token ends everything its account granted to the project.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::json;

use crate::parameters::Parameters;
use crate::token::status_code;
use crate::world::Shared;

/// Takes `token` from the body or, as Google does, from the query. An unknown token is a success
/// (RFC 7009 section 2.2).
pub(crate) async fn revoke(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut world = shared.world();
    if let Some(status) = world.knobs.revoke_status {
        let error = if status < 500 {
            "invalid_token"
        } else {
            "temporarily_unavailable"
        };
        return (status_code(status), Json(json!({"error": error}))).into_response();
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let in_body = Parameters::from_body(content_type, &body);
    let in_query = Parameters::from_form(uri.query().unwrap_or_default().as_bytes());
    let Some(token) = in_body.get("token").or_else(|| in_query.get("token")) else {
        let problem = json!({"error": "invalid_request"});
        return (StatusCode::BAD_REQUEST, Json(problem)).into_response();
    };
    world.revoke(token);
    Json(json!({})).into_response()
}
