//! `/control/*`: the handle's methods over HTTP, for tests and people in other processes.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::knobs::Knobs;
use crate::recorded::Recorded;
use crate::world::Shared;

pub(crate) async fn knobs(State(shared): State<Shared>) -> Json<Knobs> {
    Json(shared.world().knobs.clone())
}

/// Applies a JSON merge patch (RFC 7396); `null` gives a knob its default back.
pub(crate) async fn change_knobs(State(shared): State<Shared>, body: Bytes) -> Response {
    let mut world = shared.world();
    let changed = serde_json::from_slice::<Map<String, Value>>(&body)
        .and_then(|patch| world.knobs.patched(patch));
    match changed {
        Ok(knobs) => {
            world.knobs = knobs.clone();
            Json(knobs).into_response()
        }
        Err(error) => {
            let problem = json!({"error": "invalid_request", "detail": error.to_string()});
            (StatusCode::BAD_REQUEST, Json(problem)).into_response()
        }
    }
}

pub(crate) async fn requests(State(shared): State<Shared>) -> Json<Vec<Recorded>> {
    Json(shared.world().recorded.clone())
}

pub(crate) async fn forget_requests(State(shared): State<Shared>) -> StatusCode {
    shared.world().recorded.clear();
    StatusCode::NO_CONTENT
}

pub(crate) async fn kill_grants(State(shared): State<Shared>) -> StatusCode {
    shared.world().kill_grants(|_| true);
    StatusCode::NO_CONTENT
}

pub(crate) async fn expire_access_tokens(State(shared): State<Shared>) -> StatusCode {
    shared.world().expire_access_tokens();
    StatusCode::NO_CONTENT
}
