//! The page itself, in the style of the hosted ones.

use std::sync::LazyLock;

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use grantkeep_core::connection::Owner;
use grantkeep_functions::style;
use url::form_urlencoded;

use super::look::Seen;

/// What the hosted pages have no need of.
const FORMS: &str = "
label { display: block; margin-top: .75rem; font-size: .875rem; color: var(--soft); }
input { display: block; width: 100%; min-height: 2.75rem; margin-top: .25rem; padding: .375rem .75rem; \
border: 1px solid var(--edge); border-radius: .5rem; background: var(--page); color: var(--ink); font: inherit; }
.part { border-top: 1px solid var(--line); margin-top: 1rem; padding-top: 1rem; }
.part li { margin-top: .5rem; }
";

static SHEET: LazyLock<String> = LazyLock::new(|| format!("{}{FORMS}", style::SHEET));

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| style::policy(&SHEET));

/// What happened, above everything else.
pub struct Notice {
    kind: &'static str,
    role: &'static str,
    title: &'static str,
    text: String,
}

impl Notice {
    /// Of the address that an action came back to; nothing in it is shown as it is.
    pub fn of_query(query: &str) -> Option<Self> {
        let value = |wanted: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_owned())
        };
        let good = |title, text: String| Self {
            kind: "good",
            role: "status",
            title,
            text,
        };
        if let Some(outcome) = value("connection") {
            return match outcome.as_str() {
                "connected" => Some(good("Allowed", "You can go on here.".to_owned())),
                _ => Some(Self::of_error("the permission was not granted".to_owned())),
            };
        }
        match value("done")?.as_str() {
            "sent" => Some(good("Sent", "The mail is on its way to you.".to_owned())),
            "watched" => Some(good(
                "Watching",
                "What this sender writes appears below.".to_owned(),
            )),
            "unwatched" => Some(good("No longer watching", String::new())),
            "arrived" => Some(good(
                "A mail has come in",
                "Look now to see whether a watch finds it.".to_owned(),
            )),
            "looked" => {
                let found: u64 = value("messages")?.parse().ok()?;
                Some(good("Looked", format!("{found} new.")))
            }
            _ => None,
        }
    }

    /// Of something that did not work, in the API's words.
    pub fn of_error(text: String) -> Self {
        Self {
            kind: "bad",
            role: "alert",
            title: "That did not work",
            text,
        }
    }
}

#[derive(Template)]
#[template(path = "mail.html")]
struct MailPage<'a> {
    sheet: &'a str,
    owner: &'a Owner,
    notice: Option<Notice>,
    seen: Seen,
    demo: bool,
}

/// Writes the page.
pub fn html(demo: bool, owner: &Owner, notice: Option<Notice>, seen: Seen) -> Response {
    let page = MailPage {
        sheet: &SHEET,
        owner,
        notice,
        seen,
        demo,
    };
    match page.render() {
        Ok(text) => {
            let fixed = [
                (
                    CONTENT_TYPE,
                    HeaderValue::from_static("text/html; charset=utf-8"),
                ),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
                (CONTENT_SECURITY_POLICY, POLICY.clone()),
            ];
            (fixed, text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
