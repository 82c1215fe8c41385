//! CORS for the session routes: pages of PUBLIC_URL and RETURN_TO_ORIGINS may call them
//! with credentials, others not at all (Fetch standard, section 3.3).

use axum::extract::State;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, HeaderValue, ORIGIN, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use grantkeep_core::App;

/// Lets the page that asked read the answer, if it is one of ours.
pub fn allow(app: &App, headers: &HeaderMap, mut response: Response) -> Response {
    let origin = headers.get(ORIGIN).filter(|origin| {
        origin
            .to_str()
            .is_ok_and(|text| app.settings.origins.contains(text))
    });
    if let Some(origin) = origin {
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
    response
}

/// Answers a browser's question before it sends something unusual.
pub async fn preflight(State(app): State<App>, headers: HeaderMap) -> Response {
    let fixed = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, x-requested-with",
        ),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    allow(
        &app,
        &headers,
        (StatusCode::NO_CONTENT, fixed).into_response(),
    )
}

/// Caches must not mix up answers for different origins.
pub async fn vary(mut response: Response) -> Response {
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("Origin"));
    response
}
