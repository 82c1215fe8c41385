//! The pages a person sees. Everything from a request is escaped by the templates.

use askama::Template;
use aws_lc_rs::digest;
use axum::response::{Html, IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{StatusCode, header};
use url::Url;

use crate::account::{ACCOUNTS, Account};
use crate::scopes;

/// The consent page of one authorization request.
#[derive(Template)]
#[template(path = "consent.html")]
pub(crate) struct ConsentPage<'a> {
    request: &'a str,
    client_id: &'a str,
    destination: String,
    accounts: &'static [Account],
    chosen: &'a Account,
    signs_in: bool,
    choices: Vec<Choice<'a>>,
}

/// A scope with a tick box.
struct Choice<'a> {
    scope: &'a str,
    description: &'a str,
}

impl<'a> ConsentPage<'a> {
    pub(crate) fn new(
        request: &'a str,
        client_id: &'a str,
        redirect_uri: &str,
        requested: &'a [String],
        chosen: &'a Account,
    ) -> ConsentPage<'a> {
        let choices = requested.iter().filter(|scope| scopes::is_optional(scope));
        ConsentPage {
            request,
            client_id,
            destination: destination(redirect_uri),
            accounts: &ACCOUNTS,
            chosen,
            signs_in: requested.iter().any(|scope| scopes::is_sign_in(scope)),
            choices: choices
                .map(|scope| Choice {
                    scope,
                    description: scopes::description(scope),
                })
                .collect(),
        }
    }
}

/// Where the user goes next, as a person would say it.
fn destination(redirect_uri: &str) -> String {
    let origin = Url::parse(redirect_uri).map(|url| url.origin().ascii_serialization());
    origin.unwrap_or_else(|_| "the page that opened this window".to_owned())
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    problem: &'a str,
}

#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPostPage<'a> {
    action: &'a str,
    fields: &'a [(&'a str, &'a str)],
    script: &'a str,
}

/// The only script of this server; OAuth 2.0 Form Post Response Mode asks for it.
const SUBMIT: &str = "document.forms[0].submit()";

pub(crate) fn consent(page: &ConsentPage<'_>) -> Response {
    // No form-action: browsers apply it to the redirect that follows the form as well.
    rendered(
        StatusCode::OK,
        page,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
            .to_owned(),
    )
}

/// An error that cannot be sent back to the client.
pub(crate) fn error(problem: &str) -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    rendered(
        StatusCode::BAD_REQUEST,
        &ErrorPage { problem },
        policy.to_owned(),
    )
}

/// A page whose form posts the authorization response to the client by itself.
pub(crate) fn form_post(action: &str, fields: &[(&str, &str)]) -> Response {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, SUBMIT.as_bytes()));
    let policy = format!("default-src 'none'; script-src 'sha256-{hash}'; frame-ancestors 'none'");
    rendered(
        StatusCode::OK,
        &FormPostPage {
            action,
            fields,
            script: SUBMIT,
        },
        policy,
    )
}

fn rendered(status: StatusCode, page: &impl Template, policy: String) -> Response {
    let html = page.render().expect("a page of strings renders");
    let headers = [
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "strict-origin".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (status, headers, Html(html)).into_response()
}
