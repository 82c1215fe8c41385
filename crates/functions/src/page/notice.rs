//! How what somebody just did has ended, from the query of the redirect that brought them
//! here. Anybody can write such a query, so it chooses among our own words and adds none.

use grantkeep_core::App;
use grantkeep_core::disconnect::Disconnected;
use grantkeep_core::store::oauth_tokens::Connection;

use super::words::{Wanted, Words, words};
use crate::extract::Query;
use crate::problem::{Code, Problem};

/// What happened and what to do, above the cards.
#[derive(Clone, Debug)]
pub struct Notice {
    /// How it ended.
    pub kind: Kind,
    /// What happened.
    pub title: String,
    /// What to do.
    pub text: String,
}

/// How something ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Well.
    Success,
    /// Well, but not completely.
    Warning,
    /// Not at all.
    Error,
}

impl Kind {
    /// Class of the stylesheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Success => "good",
            Self::Warning => "warn",
            Self::Error => "bad",
        }
    }

    /// How urgently a screen reader says it.
    pub fn role(self) -> &'static str {
        match self {
            Self::Success => "status",
            Self::Warning | Self::Error => "alert",
        }
    }
}

/// The notice that this query asks for, if any. `rows` are the connections of whoever is
/// signed in: an account is repeated only if it is one of theirs.
pub fn notice(app: &App, query: &Query, rows: &[Connection]) -> Result<Option<Notice>, Problem> {
    let Some(connection) = query.one("connection")? else {
        return Ok(None);
    };
    let provider = query.one("provider")?.unwrap_or_default();
    let name = app
        .settings
        .providers
        .find(provider)
        .map_or("The service", |provider| provider.display_name());
    let account = query.one("account")?.unwrap_or_default();
    let theirs = rows
        .iter()
        .any(|row| row.key.provider == provider && row.key.account == account);
    let account = match theirs {
        true => format!(" as {account}"),
        false => String::new(),
    };
    Ok(match connection {
        "connected" => Some(Notice {
            kind: Kind::Success,
            title: format!("{name} is connected{account}"),
            text: "You can close this page or go back to the application.".to_owned(),
        }),
        "insufficient_scope" => Some(Notice {
            kind: Kind::Warning,
            title: format!("{name} is connected{account}, but not everything was allowed"),
            text: "Some things will not work. Reconnect and leave every box ticked.".to_owned(),
        }),
        "pending" => Some(Notice {
            kind: Kind::Warning,
            title: format!("{name} is almost connected"),
            text: "Go back to the application: it has to confirm within ten minutes that this \
                   is you."
                .to_owned(),
        }),
        "disconnected" => Some(disconnected(name, query.one("access")?)),
        "signed_out" => Some(Notice {
            kind: Kind::Success,
            title: "You are signed out here".to_owned(),
            text: "To come back, open this page from the application.".to_owned(),
        }),
        "error" => {
            let code = error_code(query.one("error")?);
            let Words { title, text } = words(code, Wanted::Connect { name });
            Some(Notice {
                kind: Kind::Error,
                title,
                text,
            })
        }
        _ => None,
    })
}

/// What a disconnect says of the access at the provider, as `access` in the query.
pub fn access(done: Disconnected) -> &'static str {
    match (done.revoked, done.reason) {
        (true, _) => "ended",
        (false, Some("grant_already_dead" | "already_gone")) => "over",
        (false, Some("shared_with_another_connection")) => "shared",
        (false, Some("not_supported_by_provider")) => "unsupported",
        (false, Some("queued")) => "later",
        (false, _) => "failed",
    }
}

fn disconnected(name: &str, access: Option<&str>) -> Notice {
    let by_hand = "To end it, remove the application in your account’s settings there.";
    let (kind, rest) = match access {
        Some("ended") => (
            Kind::Success,
            format!("The access at {name} was ended too."),
        ),
        Some("over") => (
            Kind::Success,
            format!("The access at {name} had ended before."),
        ),
        Some("shared") => (
            Kind::Warning,
            format!(
                "The access at {name} was not ended, because another connection of the same \
                 account still uses it. It ends when that one is disconnected too."
            ),
        ),
        Some("unsupported") => (
            Kind::Warning,
            format!(
                "The access at {name} was not ended, because it has no way to do so from \
                 here. {by_hand}"
            ),
        ),
        Some("later") => (
            Kind::Warning,
            format!(
                "{name} does not answer right now: ending the access there is tried again for \
                 a day. To be sure, remove the application in your account’s settings there."
            ),
        ),
        Some("failed") => (
            Kind::Warning,
            format!("The access at {name} could not be ended from here. {by_hand}"),
        ),
        _ => (Kind::Success, String::new()),
    };
    let text = format!("Everything stored here about it is deleted. {rest}");
    Notice {
        kind,
        title: format!("{name} is disconnected"),
        text: text.trim_end().to_owned(),
    }
}

/// The codes that the callback sends here; anything else is somebody's own text.
fn error_code(text: Option<&str>) -> Code {
    [
        Code::AccessDenied,
        Code::AccountMismatch,
        Code::InvalidState,
        Code::ProviderError,
        Code::ProviderUnavailable,
    ]
    .into_iter()
    .find(|code| Some(code.as_str()) == text)
    .unwrap_or(Code::Internal)
}
