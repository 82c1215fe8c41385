//! Pages for people: the hosted connect page and errors in plain words. No script, no
//! third-party resource; templates escape everything.

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use grantkeep_core::App;

use crate::extract::wants_html;
use crate::problem::{Code, Problem};

/// Styles are inlined by their hash's stand-in: one fixed sheet, no scripts, nothing from
/// elsewhere, and nobody may frame the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// What happened and what to do, in plain words.
#[derive(Clone, Debug)]
pub struct Notice {
    /// `success`, `warning` or `error`.
    pub kind: &'static str,
    /// What happened.
    pub title: String,
    /// What to do.
    pub text: String,
}

/// One provider on the connect page.
#[derive(Clone, Debug)]
pub struct Card {
    /// In routes.
    pub provider: String,
    /// For people.
    pub name: String,
    /// Its connections.
    pub connections: Vec<CardConnection>,
    /// Where Connect leads.
    pub connect_url: String,
}

/// One connection on a card.
#[derive(Clone, Debug)]
pub struct CardConnection {
    /// For the disconnect form.
    pub id: String,
    /// The account.
    pub account: String,
    /// `connected`, `incomplete`, `broken` or `pending`.
    pub state: &'static str,
    /// The state in plain words.
    pub text: String,
    /// Where Reconnect leads.
    pub reconnect_url: String,
}

#[derive(Template)]
#[template(path = "connect.html")]
struct ConnectPage<'a> {
    title: &'a str,
    who: Option<&'a str>,
    notice: Option<Notice>,
    cards: &'a [Card],
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    title: &'a str,
    text: &'a str,
    code: &'static str,
    retry: Option<String>,
}

/// The connect page of a session, or only its notice where there is no session.
pub fn connect(who: Option<&str>, notice: Option<Notice>, cards: &[Card]) -> Response {
    let page = ConnectPage {
        title: "Connections",
        who,
        notice,
        cards,
    };
    html(StatusCode::OK, &page)
}

/// An error page for browsers, the problem itself for everybody else.
pub fn or_problem(
    app: &App,
    headers: &HeaderMap,
    problem: Problem,
    provider: Option<&str>,
) -> Response {
    if !wants_html(headers) {
        return problem.into_response();
    }
    let configured = provider.and_then(|name| app.settings.providers.find(name));
    let name = configured.map_or("your account", |provider| provider.display_name());
    let (title, text) = words(problem.code, name);
    let page = ErrorPage {
        title: &title,
        text: &text,
        code: problem.code.as_str(),
        retry: app
            .settings
            .sessions
            .is_some()
            .then(|| "/connect".to_owned()),
    };
    html(problem.status(), &page)
}

/// What happened and what to do, without jargon.
pub fn words(code: Code, name: &str) -> (String, String) {
    let (title, text) = match code {
        Code::AccessDenied => (
            format!("{name} was not connected"),
            "You chose not to allow access. Nothing was changed. Connect again if that was a mistake.",
        ),
        Code::InvalidState | Code::InvalidRequest => (
            "This sign-in is no longer valid".to_owned(),
            "It was used before, took longer than ten minutes, or was begun in another browser. \
             Nothing was changed. Start again from the application.",
        ),
        Code::AccountMismatch => (
            "That was a different account".to_owned(),
            "You chose another account than the one to connect again. Nothing was changed. \
             Connect again and choose the same account.",
        ),
        Code::StorageUnavailable => (
            format!("{name} could not be saved"),
            "Our database is not available, so nothing was stored. Please try again in a few minutes.",
        ),
        Code::ProviderUnavailable => (
            format!("{name} does not answer"),
            "The provider is not available right now. Nothing was changed. Please try again in a few minutes.",
        ),
        Code::ProviderError => (
            format!("{name} refused the connection"),
            "The provider answered with an error. Nothing was changed. Try again; if it happens \
             again, tell the people who run this application.",
        ),
        Code::Unauthorized | Code::Forbidden => (
            "You are not signed in here".to_owned(),
            "Sign in to the application first, then open this page from there.",
        ),
        Code::UnknownProvider => (
            "This service cannot be connected here".to_owned(),
            "The application is not set up for it. Tell the people who run this application.",
        ),
        Code::ReturnToNotAllowed => (
            "This link leads somewhere it may not".to_owned(),
            "For your safety it was stopped. Start again from the application.",
        ),
        Code::NotConnected => (
            "This connection is not there any more".to_owned(),
            "It was disconnected before. You can connect it again.",
        ),
        Code::AmbiguousAccount
        | Code::InsufficientScope
        | Code::ReauthorizationRequired
        | Code::Misconfigured
        | Code::Internal => (
            "Something is wrong on our side".to_owned(),
            "Nothing was changed. Tell the people who run this application, with the code below.",
        ),
    };
    (title, text.to_owned())
}

fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => {
            let fixed = [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CACHE_CONTROL, "no-store"),
                (REFERRER_POLICY, "no-referrer"),
                (CONTENT_SECURITY_POLICY, POLICY),
            ];
            (status, fixed, text).into_response()
        }
        Err(_) => Problem::new(Code::Internal, "the page could not be written").into_response(),
    }
}
