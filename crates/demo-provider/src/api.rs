//! The APIs that access tokens open: userinfo, a corner of Gmail and Calendar, and `/api/whoami`.
//! Refusals have the shape of Google's.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::{Value, json};

use crate::account::Account;
use crate::scopes;
use crate::token::status_code;
use crate::world::Shared;

/// The bearer token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// OpenID Connect userinfo: `sub`, and what the token may tell of the e-mail address and the name.
pub(crate) async fn userinfo(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let fault = shared.world().knobs.userinfo_status;
    if let Some(status) = fault {
        return (status_code(status), Json(json!({"error": "server_error"}))).into_response();
    }
    let Some((account, granted)) = live(&shared, &headers) else {
        return unauthenticated();
    };
    let mut claims = json!({"sub": account.sub});
    if scopes::tells_email(&granted) {
        claims["email"] = account.email.into();
        claims["email_verified"] = true.into();
    }
    if scopes::tells_profile(&granted) {
        claims["name"] = account.name.into();
        claims["preferred_username"] = account.email.into();
    }
    Json(claims).into_response()
}

/// Who the token stands for and what it opens.
pub(crate) async fn whoami(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    match live(&shared, &headers) {
        Some((account, granted)) => {
            Json(json!({"account": account.email, "scope": granted.join(" ")})).into_response()
        }
        None => unauthenticated(),
    }
}

pub(crate) async fn gmail_profile(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    answered(
        &shared,
        &headers,
        scopes::GMAIL_PROFILE,
        |account| json!({"emailAddress": account.email, "messagesTotal": 0, "threadsTotal": 0, "historyId": "1"}),
    )
}

pub(crate) async fn gmail_messages(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Some((_, granted)) = live(&shared, &headers) {
        let searched = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .any(|pair| pair.starts_with("q="));
        let metadata = |scope: &String| scope.ends_with("/gmail.metadata");
        if searched && granted.iter().any(metadata) {
            return forbidden("Metadata scope does not support 'q' parameter", "forbidden");
        }
    }
    answered(
        &shared,
        &headers,
        scopes::GMAIL_LIST,
        |_| json!({"resultSizeEstimate": 0}),
    )
}

pub(crate) async fn calendar_events(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    answered(&shared, &headers, scopes::CALENDAR_LIST, |account| {
        json!({
            "kind": "calendar#events", "summary": account.email, "timeZone": "UTC",
            "accessRole": "owner", "defaultReminders": [], "items": [],
        })
    })
}

fn answered(
    shared: &Shared,
    headers: &HeaderMap,
    fitting: &[&str],
    body: impl FnOnce(&Account) -> Value,
) -> Response {
    let Some((account, granted)) = live(shared, headers) else {
        return unauthenticated();
    };
    if !granted
        .iter()
        .any(|scope| fitting.contains(&scope.as_str()))
    {
        return forbidden(
            "Request had insufficient authentication scopes.",
            "insufficientPermissions",
        );
    }
    Json(body(account)).into_response()
}

fn live(shared: &Shared, headers: &HeaderMap) -> Option<(&'static Account, Vec<String>)> {
    let token = bearer(headers)?;
    let world = shared.world();
    let (account, granted) = world.live_access_token(token)?;
    Some((account, granted.to_vec()))
}

fn unauthenticated() -> Response {
    let body = json!({"error": {
        "code": 401,
        "message": "Request had invalid authentication credentials. Expected OAuth 2 access token, \
                    login cookie or other valid authentication credential.",
        "errors": [{
            "message": "Invalid Credentials", "domain": "global", "reason": "authError",
            "location": "Authorization", "locationType": "header",
        }],
        "status": "UNAUTHENTICATED",
    }});
    let challenge = r#"Bearer realm="https://accounts.example.test/", error="invalid_token""#;
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, challenge)],
        Json(body),
    )
        .into_response()
}

fn forbidden(message: &str, reason: &str) -> Response {
    let body = json!({"error": {
        "code": 403,
        "message": message,
        "errors": [{"message": message, "domain": "global", "reason": reason}],
        "status": "PERMISSION_DENIED",
    }});
    let challenge = r#"Bearer realm="https://accounts.example.test/", error="insufficient_scope""#;
    (
        StatusCode::FORBIDDEN,
        [(header::WWW_AUTHENTICATE, challenge)],
        Json(body),
    )
        .into_response()
}
