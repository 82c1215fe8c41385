//! What callers see of a mail API that said no.

use axum::http::StatusCode;
use grantkeep_core::App;
use grantkeep_core::gmail::answer::Refused;
use grantkeep_core::gmail::send::SendError;

use crate::problem::{Code, Problem};
use crate::provider_path;

/// The problem of a message that was not sent, or may have been.
pub fn of_sending(app: &App, provider: &str, error: SendError) -> Problem {
    match error {
        SendError::Token(error) => Problem::of_token(error, |scopes, account| {
            provider_path::connect_url(app, provider, scopes, account)
        }),
        SendError::Refused(refused) => refused.into(),
        SendError::Unreachable(error) => Problem::new(
            Code::ProviderUnavailable,
            format!("the mail API {error}; nothing was sent, try again later"),
        )
        .retry_after(5),
        SendError::OutcomeUnknown {
            reason,
            retry_after,
        } => Problem::new(
            Code::ProviderUnavailable,
            format!(
                "{reason}: the message may have been sent. The same call with the same \
                     idempotency_key finds out; without one, look into the mailbox first"
            ),
        )
        .with("outcome", "unknown".into())
        .retry_after(retry_after),
        SendError::MayHaveBeenSent => Problem::new(
            Code::ProviderError,
            "an earlier call with this idempotency_key was interrupted and may have sent the \
                 message, and this connection may not search its mailbox: look into it, then send \
                 with another key",
        )
        .with("outcome", "unknown".into()),
        SendError::Busy => Problem::new(
            Code::ProviderUnavailable,
            "another call with this idempotency_key is being carried out: repeat this one",
        )
        .retry_after(5),
        SendError::OtherMessage => Problem::invalid(
            "idempotency_key",
            "was used for another message: a new message needs a new key",
        )
        .with_status(StatusCode::UNPROCESSABLE_ENTITY),
        SendError::Store(error) => error.into(),
    }
}

impl From<Refused> for Problem {
    /// Of a call to the mail API that was not carried out.
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFound => Self::invalid("thread_id", "is not in this mailbox"),
            Refused::Invalid { reason } => {
                Self::invalid("body", format!("was refused by the mail API: {reason}"))
            }
            Refused::Forbidden { status, reason } => Self::new(
                Code::ProviderError,
                format!("the mail API does not allow this to the account: {reason}"),
            )
            .with("provider_error", reason.into())
            .with("provider_status", status.into()),
            Refused::Limited { retry_after } => Self::new(
                Code::ProviderUnavailable,
                "the mail API's limit for this account or client is reached; try again later",
            )
            .retry_after(retry_after.unwrap_or(30)),
            Refused::Failed {
                status,
                retry_after,
            } => Self::new(
                Code::ProviderUnavailable,
                format!("the mail API failed with status {status}; try again later"),
            )
            .retry_after(retry_after.unwrap_or(5)),
        }
    }
}
