//! Whether a message that nobody saw the answer for was sent: looked for in the mailbox itself,
//! by the marker that every message with an idempotency key carries. Not by its `Message-ID`,
//! which the API replaces.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::Api;
use super::address::Address;
use super::answer::{self, Refused};
use super::message::MARKER;
use crate::api::{self, CallError};
use crate::app::App;
use crate::connection::ConnectionId;
use crate::store::sent_messages::SentMessage;
use crate::tokens::Wanted;

const TIMEOUT: Duration = Duration::from_secs(8);
/// How many of the newest messages that could be it are looked at.
const CANDIDATES: &str = "25";
/// Clocks differ.
const SLACK: TimeDelta = TimeDelta::minutes(5);

/// Why the mailbox could not be searched.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// There was no token or no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The API said no.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// What names a message that is sent under a key; tells nothing of the key.
pub fn marker(connection: ConnectionId, key: &str) -> String {
    let mut digest = Context::new(&SHA256);
    digest.update(connection.0.as_bytes());
    digest.update(key.as_bytes());
    let digest = digest.finish();
    digest.as_ref()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The message with this marker among those sent since, if it is there. The token has to be good
/// for reading.
pub async fn find(
    app: &App,
    mail: &Api<'_>,
    wanted: &mut Wanted,
    marker: &str,
    recipient: Option<&Address>,
    since: DateTime<Utc>,
) -> Result<Option<SentMessage>, SearchError> {
    let after = (since - SLACK).timestamp();
    let mut query = format!("in:sent after:{after}");
    if let Some(recipient) = recipient {
        query.push_str(&format!(" to:\"{}\"", recipient.email));
    }
    let parameters = [("q", query.as_str()), ("maxResults", CANDIDATES)];
    let listed = get(app, mail, wanted, "messages", &parameters).await?;
    for candidate in listed["messages"].as_array().into_iter().flatten() {
        let Some(id) = candidate["id"].as_str().filter(|id| is_id(id)) else {
            continue;
        };
        let parameters = [("format", "metadata"), ("metadataHeaders", MARKER)];
        let path = format!("messages/{id}");
        let shown = match get(app, mail, wanted, &path, &parameters).await {
            // Deleted since it was listed.
            Err(SearchError::Refused(Refused::NotFound)) => continue,
            other => other?,
        };
        let headers = shown["payload"]["headers"].as_array();
        let carries = headers.into_iter().flatten().any(|header| {
            let named = header["name"].as_str();
            named.is_some_and(|name| name.eq_ignore_ascii_case(MARKER)) && header["value"] == marker
        });
        if carries {
            return Ok(sent(&shown));
        }
    }
    Ok(None)
}

/// `id` and `threadId` of a message.
pub fn sent(message: &Value) -> Option<SentMessage> {
    let text = |name: &str| {
        message[name]
            .as_str()
            .filter(|id| is_id(id))
            .map(str::to_owned)
    };
    Some(SentMessage {
        message_id: text("id")?,
        thread_id: text("threadId")?,
    })
}

fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

async fn get(
    app: &App,
    mail: &Api<'_>,
    wanted: &mut Wanted,
    path: &str,
    query: &[(&str, &str)],
) -> Result<Value, SearchError> {
    let request = || mail.get(path, query);
    let (answer, _) = api::call(app, mail.provider, wanted, request, true, TIMEOUT).await?;
    Ok(answer::read(&answer, app.now())?)
}
