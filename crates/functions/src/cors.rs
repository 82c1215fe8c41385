//! CORS for the session routes: pages of PUBLIC_URL and RETURN_TO_ORIGINS may call them
//! with credentials, others not at all (Fetch standard, section 3.3).

use axum::http::StatusCode;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, HeaderValue, VARY,
};
use axum::response::{IntoResponse, Response};

use grantkeep_core::App;

/// Marks an answer of a session route: pages of ours may read it, errors included.
#[derive(Clone, Copy, Debug)]
pub struct ForPages;

/// Marks what the routes below it answer. Caches must not mix up answers for different
/// origins.
pub async fn for_pages(mut response: Response) -> Response {
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("Origin"));
    response.extensions_mut().insert(ForPages);
    response
}

/// Lets the page at `origin` read a marked answer, if it is one of ours.
pub fn allow(app: &App, origin: Option<&HeaderValue>, response: &mut Response) {
    let ours = origin.filter(|origin| {
        response.extensions().get::<ForPages>().is_some()
            && origin
                .to_str()
                .is_ok_and(|text| app.settings.origins.contains(text))
    });
    if let Some(origin) = ours {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
}

/// Answers a browser's question before it sends something unusual.
pub async fn preflight() -> Response {
    let fixed = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, x-requested-with",
        ),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, fixed).into_response()
}
