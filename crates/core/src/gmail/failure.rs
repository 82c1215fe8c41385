//! Why a call of the mail API brought a poll nothing, and whether it may later.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::http::{Answer, HttpError};
use crate::tokens::TokenError;

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// There is no token to call with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No answer came.
    #[error("the API {0}")]
    Http(#[from] HttpError),
    /// Too much was asked, or the API is in trouble: later.
    #[error("the API is busy ({reason})")]
    Busy {
        /// Google's reason code, or the status.
        reason: String,
        /// Seconds that it asks to wait.
        retry_after: Option<u64>,
    },
    /// What was asked for is not there (any more).
    #[error("not found")]
    NotFound,
    /// Asking again changes nothing.
    #[error("the API refused ({reason})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Google's reason code, or the status.
        reason: String,
    },
    /// Not the JSON that was expected.
    #[error("the API's answer is not what it documents")]
    Unreadable,
    /// The connection's provider is not in the settings any more, or not as one with mail.
    #[error("the provider is not configured")]
    NotConfigured,
}

/// Reasons of a 403 that pass by themselves.
const BUSY: [&str; 5] = [
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "quotaExceeded",
    "dailyLimitExceeded",
    "backendError",
];

/// Which kind of no an answer is.
pub fn refusal(answer: &Answer, now: DateTime<Utc>) -> MailError {
    let status = answer.status;
    let reason = reason(&answer.body).unwrap_or_else(|| format!("http_{status}"));
    let busy = matches!(status, 408 | 429 | 500..) || BUSY.contains(&reason.as_str());
    match status {
        404 => MailError::NotFound,
        _ if busy => MailError::Busy {
            reason,
            retry_after: answer.retry_after(now),
        },
        _ => MailError::Refused { status, reason },
    }
}

/// Google's code of an error: a word, or nothing that could be stored.
fn reason(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Written {
        error: Error,
    }
    #[derive(Deserialize)]
    struct Error {
        #[serde(default)]
        errors: Vec<Detail>,
    }
    #[derive(Deserialize)]
    struct Detail {
        reason: String,
    }
    let written: Written = serde_json::from_slice(body).ok()?;
    let reason = written.error.errors.into_iter().next()?.reason;
    let word = reason.len() <= 60
        && reason
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_');
    (word && !reason.is_empty()).then_some(reason)
}
