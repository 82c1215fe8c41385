//! The way to the page, added to the hosted connect page where a visitor lands after connecting.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use http_body_util::BodyExt as _;

use super::PATH;

/// Only who is signed in sees this on the connect page.
const SIGNED_IN: &str = "<div class=\"who\">";
const END: &str = "</main>";

/// Adds the link to the connect page of somebody signed in; hands on everything else.
pub async fn add(response: Response) -> Response {
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // A page is made as a whole before it is answered: reading it cannot fail.
    let body = body.collect().await.unwrap_or_default().to_bytes();
    let text = String::from_utf8_lossy(&body);
    let Some((before, after)) = text.rsplit_once(END).filter(|_| text.contains(SIGNED_IN)) else {
        return Response::from_parts(parts, Body::from(body));
    };
    let link = format!(
        "<section class=\"card\" aria-labelledby=\"dev-mail\">\n\
         <h2 id=\"dev-mail\">Try what you connected</h2>\n\
         <p>Send yourself a test mail, watch a sender, and see what arrives and what is on today. \
         Only <code>cargo dev</code> has this.</p>\n\
         <div class=\"actions\"><a class=\"button\" href=\"{PATH}\">Mail and calendar</a></div>\n\
         </section>\n"
    );
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(format!("{before}{link}{END}{after}")))
}
