//! `/control/*`: the handle's methods over HTTP, for tests and people in other processes.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::knobs::Knobs;
use crate::mail::Delivery;
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
    shared.world().forget_requests();
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

/// How often each method of the mail and calendar APIs was called.
pub(crate) async fn calls(State(shared): State<Shared>) -> Json<Value> {
    Json(json!(shared.world().calls()))
}

/// One delivery, or many.
#[derive(Deserialize)]
#[serde(untagged)]
enum Deliveries {
    Many(Vec<Delivery>),
    One(Delivery),
}

/// Puts messages into mailboxes: none of them if one names no account. Answers their ids.
pub(crate) async fn deliver(State(shared): State<Shared>, body: Bytes) -> Response {
    let problem = |detail: String| {
        let problem = json!({"error": "invalid_request", "detail": detail});
        (StatusCode::BAD_REQUEST, Json(problem)).into_response()
    };
    let deliveries = match serde_json::from_slice(&body) {
        Ok(Deliveries::Many(deliveries)) => deliveries,
        Ok(Deliveries::One(delivery)) => vec![delivery],
        Err(error) => return problem(error.to_string()),
    };
    match crate::handle::deliver(&shared, &deliveries) {
        Ok(ids) => Json(json!({"ids": ids})).into_response(),
        Err(account) => problem(format!("there is no account {account}")),
    }
}

/// Makes every history id so far too old.
pub(crate) async fn forget_history(State(shared): State<Shared>) -> StatusCode {
    shared.world().mail.forget_history();
    StatusCode::NO_CONTENT
}
