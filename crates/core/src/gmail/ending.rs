//! When a mailbox is polled next, and what is said of a poll that failed.

use super::failure::MailError;
use crate::app::App;
use crate::http::HttpError;
use crate::tokens::TokenError;
use crate::tokens::pause::jitter;

/// Seconds between two polls of a mailbox, less up to a fifth: a schedule of every five
/// minutes then finds every mailbox due.
const EVERY: f64 = 240.0;
/// Seconds to the next attempt after a first failure; doubled by each that follows.
const BACKOFF: f64 = 30.0;
/// The longest pause after failures, in seconds.
const MAX_BACKOFF: f64 = 3600.0;
/// A dead grant's mailbox is looked at so often, to see whether somebody connected again.
pub const PARKED: f64 = 240.0;

/// How a turn ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// As it should.
    Done,
    /// The provider was busy or could not be reached: others may fare the same.
    Busy,
    /// The grant is dead.
    Dead,
    /// Another failure, of this mailbox alone.
    Failed,
}

/// What follows from a failure.
pub struct Ending {
    /// For operators: a word.
    pub code: String,
    /// Seconds until the next attempt.
    pub next_in: f64,
    /// Of which kind it is.
    pub end: End,
}

/// Seconds until the next poll of a mailbox where all went well.
pub fn next_poll(app: &App) -> f64 {
    // jitter is between 0.75 and 1.25
    EVERY * (0.8 + 0.4 * (jitter(app) - 0.75))
}

/// After a failure: exponential, jittered, and no sooner than the API asks for.
pub fn of_failure(app: &App, error: &MailError, failures: i32) -> Ending {
    let backoff = (BACKOFF * 2_f64.powi(failures.clamp(0, 10))).min(MAX_BACKOFF) * jitter(app);
    let (code, asked, end) = match error {
        MailError::Token(error) => of_token(error),
        MailError::Http(error) => (of_http(*error).to_owned(), None, End::Busy),
        MailError::Busy {
            reason,
            retry_after,
        } => (reason.clone(), *retry_after, End::Busy),
        MailError::NotFound => ("not_found".to_owned(), None, End::Failed),
        MailError::Refused { reason, .. } => (reason.clone(), None, End::Failed),
        MailError::Unreadable => ("unreadable_answer".to_owned(), None, End::Failed),
        MailError::NotConfigured => ("provider_not_configured".to_owned(), None, End::Failed),
    };
    let asked = asked.map_or(0.0, |seconds| {
        seconds.min(86_400) as f64 * (0.25 + jitter(app))
    });
    let next_in = match end {
        End::Dead => PARKED,
        _ => backoff.max(asked),
    };
    Ending { code, next_in, end }
}

fn of_http(error: HttpError) -> &'static str {
    match error {
        HttpError::Unreachable => "unreachable",
        HttpError::Timeout => "timeout",
        HttpError::Interrupted => "interrupted",
        HttpError::TooLarge => "answer_too_large",
        HttpError::PrivateAddress => "private_address",
        HttpError::Malformed => "malformed_request",
    }
}

fn of_token(error: &TokenError) -> (String, Option<u64>, End) {
    let (code, end) = match error {
        TokenError::NotConnected => ("not_connected", End::Failed),
        TokenError::AmbiguousAccount { .. } => ("ambiguous_account", End::Failed),
        TokenError::InsufficientScope { .. } => ("insufficient_scope", End::Failed),
        TokenError::ReauthorizationRequired { .. } => ("reauthorization_required", End::Dead),
        TokenError::ClientRefused { error } => (error.as_str(), End::Failed),
        TokenError::ProviderRefused { error, .. } => (error.as_str(), End::Failed),
        TokenError::ProviderUnavailable { retry_after, .. } => {
            let code = "provider_unavailable".to_owned();
            return (code, Some(*retry_after), End::Busy);
        }
        TokenError::Cipher(_) => ("integrity_error", End::Failed),
        TokenError::Store(_) => ("storage_unavailable", End::Failed),
    };
    (code.to_owned(), None, end)
}
