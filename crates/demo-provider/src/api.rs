//! The APIs that tell who a token stands for: userinfo and `/api/whoami`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde_json::json;

use crate::gate;
use crate::scopes;
use crate::token::status_code;
use crate::world::Shared;

/// OpenID Connect userinfo: `sub`, and what the token may tell of the e-mail address and the name.
pub(crate) async fn userinfo(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let fault = shared.world().knobs.userinfo_status;
    if let Some(status) = fault {
        return (status_code(status), Json(json!({"error": "server_error"}))).into_response();
    }
    let caller = match gate::live(&shared.world(), &headers) {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into_response(),
    };
    let mut claims = json!({"sub": caller.account.sub});
    if scopes::tells_email(&caller.granted) {
        claims["email"] = caller.account.email.into();
        claims["email_verified"] = true.into();
    }
    if scopes::tells_profile(&caller.granted) {
        claims["name"] = caller.account.name.into();
        claims["preferred_username"] = caller.account.email.into();
    }
    Json(claims).into_response()
}

/// Who the token stands for and what it opens.
pub(crate) async fn whoami(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    match gate::live(&shared.world(), &headers) {
        Ok(caller) => Json(json!({
            "account": caller.account.email, "scope": caller.granted.join(" "),
        }))
        .into_response(),
        Err(refusal) => refusal.into_response(),
    }
}
