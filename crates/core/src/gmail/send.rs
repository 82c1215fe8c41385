//! Sending a message, with an idempotency key at most once.
//!
//! A key is claimed in the database before the message goes out, so that callers in any number of
//! processes send one. Who dies in between leaves a claim that runs out; the next call then looks
//! for the message in the mailbox, or refuses to guess where it may not look.

use std::time::Duration;

use serde_json::json;

use super::Api;
use super::answer::{self, Refused};
use super::message::Outgoing;
use super::recover::{self, SearchError};
use crate::api::{self, CallError};
use crate::app::App;
use crate::connection::ConnectionId;
use crate::http::HttpError;
use crate::scope::Mode;
use crate::store::StoreError;
use crate::store::oauth_tokens::Connection;
use crate::store::sent_messages::{self, Claim, SentMessage};
use crate::tokens::{self, TokenError, Usable, Wanted};

/// For one attempt: a message of several megabytes has to get through.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than two attempts and a refresh between them take, in seconds.
const LEASE: f64 = 60.0;
/// How long a caller waits for another one's answer.
const PATIENCE: u32 = 40;
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Why a message was not sent, or may have been.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// There is no token to send with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The API said no, and nothing was sent.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The API could not be asked, and nothing was sent.
    #[error("the mail API {0}")]
    Unreachable(HttpError),
    /// It may have been sent: the answer is missing.
    #[error("whether the message was sent is not known: {reason}")]
    OutcomeUnknown {
        /// What happened, for people.
        reason: String,
        /// Seconds to wait before it can be found out.
        retry_after: u64,
    },
    /// An earlier call with this key may have sent it, and the mailbox may not be searched.
    #[error("an earlier call may have sent this message")]
    MayHaveBeenSent,
    /// Somebody else is sending it.
    #[error("another call with this idempotency key is not done yet")]
    Busy,
    /// The key was used for another message.
    #[error("the idempotency key was used for another message")]
    OtherMessage,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CallError> for SendError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Token(error) => Self::Token(error),
            CallError::Http(
                error @ (HttpError::Timeout | HttpError::Interrupted | HttpError::TooLarge),
            ) => Self::OutcomeUnknown {
                reason: format!("the mail API {error}"),
                retry_after: LEASE as u64,
            },
            CallError::Http(
                error @ (HttpError::Unreachable | HttpError::PrivateAddress | HttpError::Malformed),
            ) => Self::Unreachable(error),
        }
    }
}

impl SendError {
    /// Whether it is certain that nothing was sent.
    fn nothing_was_sent(&self) -> bool {
        match self {
            Self::Token(_) | Self::Refused(_) | Self::Unreachable(_) => true,
            Self::OutcomeUnknown { .. }
            | Self::MayHaveBeenSent
            | Self::Busy
            | Self::OtherMessage
            | Self::Store(_) => false,
        }
    }
}

/// What was sent, and from where.
#[derive(Debug)]
pub struct Sent {
    /// Its ids in the sender's mailbox.
    pub message: SentMessage,
    /// Whose mailbox.
    pub connection: Connection,
}

/// Sends from the connection that is `wanted`, whose scopes are made those that sending needs.
/// With a `key`, one message is sent however often this is called.
pub async fn send(
    app: &App,
    mail: &Api<'_>,
    mut wanted: Wanted,
    message: &Outgoing,
    key: Option<&str>,
) -> Result<Sent, SendError> {
    wanted.scopes = mail.send_scope();
    wanted.mode = Mode::Effective;
    let usable = tokens::usable(app, mail.provider, &wanted).await?;
    let connection = usable.connection.clone();
    // The connection whose token was read is the one that sends, whatever is connected meanwhile.
    wanted.account = Some(connection.key.account.clone());
    let id = connection.key.id;
    let Some(key) = key else {
        let message = submit(app, mail, &mut wanted, usable, message, None).await?;
        return Ok(Sent {
            message,
            connection,
        });
    };

    let since = match claimed(app, id, key, &message.fingerprint()).await? {
        Claim::First => None,
        Claim::Again { since } => Some(since),
        Claim::Sent(message) => {
            return Ok(Sent {
                message,
                connection,
            });
        }
        Claim::Busy => return Err(SendError::Busy),
        Claim::OtherMessage => return Err(SendError::OtherMessage),
    };
    let marker = recover::marker(id, key);
    if let Some(since) = since {
        let recipient = message.to.first();
        let found = look_for(
            app,
            mail,
            &mut wanted,
            &connection,
            &marker,
            recipient,
            since,
        )
        .await?;
        if let Some(message) = found {
            record(app, id, key, &message).await;
            return Ok(Sent {
                message,
                connection,
            });
        }
    }
    match submit(app, mail, &mut wanted, usable, message, Some(&marker)).await {
        Ok(message) => {
            record(app, id, key, &message).await;
            Ok(Sent {
                message,
                connection,
            })
        }
        Err(error) => {
            if error.nothing_was_sent()
                && let Err(error) = sent_messages::give_back(&app.store, id, key).await
            {
                tracing::warn!(connection_id = %id, %error, "idempotency key not given back");
            }
            Err(error)
        }
    }
}

/// Claims a key, waiting for another caller's answer if need be.
async fn claimed(
    app: &App,
    connection: ConnectionId,
    key: &str,
    fingerprint: &[u8],
) -> Result<Claim, StoreError> {
    let mut claim = sent_messages::claim(&app.store, connection, key, fingerprint, LEASE).await?;
    for _ in 0..PATIENCE {
        if !matches!(claim, Claim::Busy) {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        claim = sent_messages::claim(&app.store, connection, key, fingerprint, LEASE).await?;
    }
    Ok(claim)
}

/// Looks for what an earlier call may have sent. Without the right to, nobody knows, and sending
/// again could send twice.
async fn look_for(
    app: &App,
    mail: &Api<'_>,
    wanted: &mut Wanted,
    connection: &Connection,
    marker: &str,
    recipient: Option<&super::address::Address>,
    since: chrono::DateTime<chrono::Utc>,
) -> Result<Option<SentMessage>, SendError> {
    let may_read = connection.scopes.has_scopes(
        &mail.read_scope(),
        mail.provider.scope_rules(),
        Mode::Effective,
    ) && !mail.read_denied(&connection.scopes);
    if !may_read {
        return Err(SendError::MayHaveBeenSent);
    }
    let found = recover::find(app, mail, wanted, marker, recipient, since).await;
    found.map_err(|error| match error {
        SearchError::Call(CallError::Token(error)) => SendError::Token(error),
        SearchError::Call(CallError::Http(error)) => unknown(&error, None),
        SearchError::Refused(Refused::Limited { retry_after }) => {
            unknown(&"the mail API asks to wait", retry_after)
        }
        SearchError::Refused(error) => unknown(&error, None),
    })
}

/// The search for an earlier message failed.
fn unknown(error: &dyn std::fmt::Display, retry_after: Option<u64>) -> SendError {
    SendError::OutcomeUnknown {
        reason: format!(
            "an earlier call was interrupted, and looking for its message failed: {error}"
        ),
        retry_after: retry_after.unwrap_or(0).max(LEASE as u64),
    }
}

/// Hands the message to the API.
async fn submit(
    app: &App,
    mail: &Api<'_>,
    wanted: &mut Wanted,
    usable: Usable,
    message: &Outgoing,
    marker: Option<&str>,
) -> Result<SentMessage, SendError> {
    let id = app.new_id().simple().to_string();
    let account = usable.connection.key.account.clone();
    let raw = message.to_bytes(&account, &id, marker, app.now());
    let (content_type, body) = related(message.thread_id.as_deref(), &raw, &id);
    drop(raw);
    let request = || mail.upload("messages/send", &content_type, body.clone());
    // A 401 says that nothing was done, so what follows the refresh is the first sending.
    let (answer, _) =
        api::call_with(app, mail.provider, wanted, usable, request, true, TIMEOUT).await?;
    let body = answer::read(&answer, app.now()).map_err(|refused| match refused {
        Refused::Failed {
            status,
            retry_after,
        } => SendError::OutcomeUnknown {
            reason: format!("the mail API answered with status {status}"),
            retry_after: retry_after.unwrap_or(0).max(LEASE as u64),
        },
        other => SendError::Refused(other),
    })?;
    recover::sent(&body).ok_or_else(|| SendError::OutcomeUnknown {
        reason: "the mail API's answer names no message".to_owned(),
        retry_after: LEASE as u64,
    })
}

/// A JSON part with the thread and the message itself. The boundary is random, and everything in
/// a message that its sender chose is encoded, so that it cannot occur there.
fn related(thread: Option<&str>, raw: &[u8], id: &str) -> (String, Vec<u8>) {
    let boundary = format!("part-{id}-{}", raw.len());
    let metadata = match thread {
        Some(thread) => json!({"threadId": thread}),
        None => json!({}),
    };
    let mut body = Vec::with_capacity(raw.len() + 512);
    body.extend_from_slice(
        format!(
            "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{metadata}\r\n\
             --{boundary}\r\nContent-Type: message/rfc822\r\n\r\n"
        )
        .as_bytes(),
    );
    body.extend_from_slice(raw);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/related; boundary={boundary}"), body)
}

/// The message is out, whatever the database says: a later call with the key finds it there or in
/// the mailbox.
async fn record(app: &App, connection: ConnectionId, key: &str, message: &SentMessage) {
    if let Err(error) = sent_messages::complete(&app.store, connection, key, message).await {
        tracing::warn!(connection_id = %connection, %error, "a sent message was not recorded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_never_left_counts_as_not_sent() {
        let certain = |error: HttpError| SendError::from(CallError::Http(error)).nothing_was_sent();

        for error in [
            HttpError::Unreachable,
            HttpError::PrivateAddress,
            HttpError::Malformed,
        ] {
            assert!(certain(error), "{error}");
        }
        for error in [
            HttpError::Timeout,
            HttpError::Interrupted,
            HttpError::TooLarge,
        ] {
            assert!(!certain(error), "{error}");
        }
    }

    #[test]
    fn a_claim_outlives_every_attempt_under_it() {
        // Two attempts, and between them a refresh of at most its own lease.
        let longest = TIMEOUT.as_secs_f64() * 2.0 + 18.0;

        assert!(longest < LEASE, "{longest}");
    }
}
