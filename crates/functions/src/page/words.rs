//! Errors in plain words: what happened and what to do, for people who have never heard
//! of OAuth.

use crate::problem::Code;

/// What somebody wanted when it went wrong; `name` is the provider's for people.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// To connect a provider.
    Connect {
        /// Its name.
        name: &'a str,
    },
    /// To see the connect page.
    Look,
    /// To change something on it.
    Change,
}

/// What people read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Words {
    /// What happened.
    pub title: String,
    /// What that means and what to do.
    pub text: String,
}

impl Words {
    fn new(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            text: text.into(),
        }
    }
}

/// The words for an error.
pub fn words(code: Code, wanted: Wanted<'_>) -> Words {
    match wanted {
        Wanted::Connect { name } => connecting(code, name),
        Wanted::Look => looking(code),
        Wanted::Change => changing(code),
    }
}

fn connecting(code: Code, name: &str) -> Words {
    match code {
        Code::AccessDenied => Words::new(
            format!("{name} was not connected"),
            "Access was not allowed, so nothing was changed. If that was a mistake, connect \
             again and allow it.",
        ),
        Code::InvalidState => Words::new(
            "This sign-in is no longer valid",
            "It was used before, took longer than ten minutes, or was begun in another browser. \
             Nothing was changed. Start again from the application.",
        ),
        Code::InvalidRequest => Words::new(
            "This link is not complete",
            "Something in its address is missing or wrong. Nothing was changed. Start again \
             from the application.",
        ),
        Code::AccountMismatch => Words::new(
            "That was a different account",
            "You chose another account than the one to connect again. Nothing was changed. \
             Reconnect and choose the same account, or connect the other one as a new connection.",
        ),
        Code::StorageUnavailable => Words::new(
            format!("{name} was not connected"),
            "Our database is not available, so nothing was saved. Please connect again in a \
             few minutes.",
        ),
        Code::ProviderUnavailable => Words::new(
            format!("{name} does not answer"),
            "It is not available right now, so nothing was changed. Please connect again in a \
             few minutes.",
        ),
        Code::ProviderError => Words::new(
            format!("{name} refused the connection"),
            "It answered with an error. Nothing was changed. Connect again; if the same happens, \
             tell the people who run this application.",
        ),
        Code::Forbidden => Words::new(
            "You are signed in here as somebody else",
            "The link that you opened belongs to another user, so it was stopped and nothing was \
             changed. If it is yours, sign out here and open it again.",
        ),
        Code::UnknownProvider => Words::new(
            "This service cannot be connected here",
            "The application has not been set up for it. Tell the people who run this application.",
        ),
        Code::ReturnToNotAllowed => Words::new(
            "This link leads somewhere it may not",
            "It was stopped for your safety. Nothing was changed. Start again from the application.",
        ),
        Code::Unauthorized => not_signed_in(),
        Code::NotConnected
        | Code::AmbiguousAccount
        | Code::InsufficientScope
        | Code::ReauthorizationRequired
        | Code::Misconfigured
        | Code::Internal => our_fault(format!("{name} was not connected")),
    }
}

fn looking(code: Code) -> Words {
    match code {
        Code::Unauthorized => not_signed_in(),
        Code::StorageUnavailable => Words::new(
            "Your connections cannot be shown right now",
            "Our database is not available. Your connections are not changed by this. Please \
             open this page again in a few minutes.",
        ),
        Code::Forbidden | Code::InvalidRequest => connecting(code, ""),
        Code::UnknownProvider
        | Code::NotConnected
        | Code::AmbiguousAccount
        | Code::InsufficientScope
        | Code::ReauthorizationRequired
        | Code::AccountMismatch
        | Code::AccessDenied
        | Code::InvalidState
        | Code::ReturnToNotAllowed
        | Code::ProviderError
        | Code::ProviderUnavailable
        | Code::Misconfigured
        | Code::Internal => our_fault("Your connections cannot be shown".to_owned()),
    }
}

fn changing(code: Code) -> Words {
    match code {
        Code::Unauthorized => Words::new(
            "You are not signed in any more",
            "Nothing was disconnected. Sign in to the application, open this page from there, \
             and disconnect again.",
        ),
        Code::Forbidden => Words::new(
            "Nothing was disconnected",
            "The request did not come from your connections page, so it was stopped. Open the \
             page and use its own button.",
        ),
        Code::NotConnected => Words::new(
            "This connection is not there any more",
            "It was disconnected before. There is nothing left to do.",
        ),
        // It may have been revoked already when the row could not be deleted.
        Code::StorageUnavailable => Words::new(
            "It is not certain that this was disconnected",
            "Our database stopped answering. Open your connections again in a few minutes: if \
             this one is still there, disconnect it again.",
        ),
        Code::InvalidRequest
        | Code::UnknownProvider
        | Code::AmbiguousAccount
        | Code::InsufficientScope
        | Code::ReauthorizationRequired
        | Code::AccountMismatch
        | Code::AccessDenied
        | Code::InvalidState
        | Code::ReturnToNotAllowed
        | Code::ProviderError
        | Code::ProviderUnavailable
        | Code::Misconfigured
        | Code::Internal => our_fault("This did not work".to_owned()),
    }
}

fn not_signed_in() -> Words {
    Words::new(
        "You are not signed in here",
        "Sign in to the application first, then open this page from there.",
    )
}

fn our_fault(title: String) -> Words {
    Words::new(
        title,
        "Something is wrong on our side, not on yours. Tell the people who run this application, \
         with the code below.",
    )
}
