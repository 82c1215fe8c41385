//! Pages for people: the hosted connect page and errors in plain words. No script, nothing
//! from elsewhere; templates escape everything.

pub mod card;
pub mod notice;
pub mod style;
pub mod words;

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use grantkeep_core::App;
use grantkeep_core::connection::Owner;

use crate::caller::browser_session;
use crate::extract::wants_html;
use crate::problem::{Code, Problem};
use card::Card;
use notice::Notice;
use words::{Wanted, Words, words};

#[derive(Template)]
#[template(path = "connect.html")]
struct ConnectPage<'a> {
    owner: Option<&'a Owner>,
    notice: Option<Notice>,
    cards: &'a [Card],
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    words: Words,
    code: &'static str,
    /// Named, with a way to sign out, where that is what is in the way.
    owner: Option<Owner>,
    back: bool,
}

/// The connect page of whoever is signed in, or only its notice where nobody is.
pub fn connect(owner: Option<&Owner>, notice: Option<Notice>, cards: &[Card]) -> Response {
    let page = ConnectPage {
        owner,
        notice,
        cards,
    };
    html(StatusCode::OK, HeaderMap::new(), &page)
}

/// An error page for browsers, the problem itself for everybody else.
pub async fn or_problem(
    app: &App,
    headers: &HeaderMap,
    problem: Problem,
    wanted: Wanted<'_>,
) -> Response {
    if !wants_html(headers) {
        return problem.into_response();
    }
    let session = browser_session(app, headers).await.unwrap_or_default();
    let in_the_way = problem.code == Code::Forbidden && !matches!(wanted, Wanted::Change);
    let page = ErrorPage {
        words: words(problem.code, wanted),
        code: problem.code.as_str(),
        back: session.is_some(),
        owner: session.map(|session| session.owner).filter(|_| in_the_way),
    };
    let (answer, _) = problem.into_response().into_parts();
    html(answer.status, answer.headers, &page)
}

/// What somebody wanted who came to a provider's route.
pub fn to_connect<'a>(app: &'a App, provider: &str) -> Wanted<'a> {
    let configured = app.settings.providers.find(provider);
    Wanted::Connect {
        name: configured.map_or("The service", |provider| provider.display_name()),
    }
}

fn html(status: StatusCode, headers: HeaderMap, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => {
            let fixed = [
                (
                    CONTENT_TYPE,
                    HeaderValue::from_static("text/html; charset=utf-8"),
                ),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
                (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
                (CONTENT_SECURITY_POLICY, style::POLICY.clone()),
            ];
            (status, headers, fixed, text).into_response()
        }
        Err(_) => Problem::new(Code::Internal, "the page could not be written").into_response(),
    }
}

#[cfg(test)]
mod tests;
