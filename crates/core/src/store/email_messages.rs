//! `email_messages`: what watches found, each message once for a connection. They are
//! written by the poll that found them ([`super::gmail_mailboxes::finish`]) and go with
//! their connection.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Cursor, Store, StoreError};
use crate::connection::ConnectionId;

/// A message that a poll found.
#[derive(Debug, Serialize)]
pub struct NewMessage {
    /// Whose mailbox.
    pub connection_id: ConnectionId,
    /// The provider's id.
    pub message_id: String,
    /// The provider's id of its conversation.
    pub thread_id: String,
    /// The address it says it is from, in lower case.
    pub sender: String,
    /// Its subject line.
    pub subject: Option<String>,
    /// Its first words.
    pub snippet: Option<String>,
    /// When the provider took it, in milliseconds since 1970.
    pub received_at: i64,
}

/// A message as it is stored.
pub struct Message {
    /// Ours.
    pub id: Uuid,
    /// The provider's id.
    pub message_id: String,
    /// The provider's id of its conversation.
    pub thread_id: String,
    /// Whose mailbox.
    pub connection_id: ConnectionId,
    /// The address it says it is from, in lower case.
    pub sender: String,
    /// Its subject line.
    pub subject: Option<String>,
    /// Its first words.
    pub snippet: Option<String>,
    /// When the provider took it.
    pub received_at: DateTime<Utc>,
    /// When it was stored.
    pub processed_at: DateTime<Utc>,
}

/// Which of these messages are stored.
pub async fn known(
    store: &Store,
    connection: ConnectionId,
    message_ids: &[String],
) -> Result<Vec<String>, StoreError> {
    let rows = store
        .read(
            "select message_id from email_messages
              where connection_id = $1 and message_id = any($2)",
            &[
                (&connection.0, Type::UUID),
                (&message_ids, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Which messages to list; what is absent does not matter.
#[derive(Default)]
pub struct Filter<'a> {
    /// The tenant.
    pub workspace: &'a str,
    /// The user within it.
    pub actor: Option<&'a str>,
    /// The provider's name.
    pub provider: Option<&'a str>,
    /// The account at the provider.
    pub account: Option<&'a str>,
    /// One connection.
    pub connection: Option<Uuid>,
    /// From this address, in lower case.
    pub sender: Option<&'a str>,
    /// Received then or later.
    pub since: Option<DateTime<Utc>>,
    /// Received before then.
    pub until: Option<DateTime<Utc>>,
}

/// Stored messages, newest first, `limit` at the most. The newest of each connection are
/// taken by its own index, so a workspace with many others does not make it slower.
pub async fn list(
    store: &Store,
    filter: &Filter<'_>,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Message>, StoreError> {
    let (received_at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    let rows = store
        .read(
            "select m.id, m.message_id, m.thread_id, m.connection_id, m.sender, m.subject,
                    m.snippet, m.received_at, m.processed_at
               from oauth_tokens t
              cross join lateral (
                    select * from email_messages
                     where connection_id = t.id
                       and ($6::text is null or sender = $6)
                       and ($7::timestamptz is null or received_at >= $7)
                       and ($8::timestamptz is null or received_at < $8)
                       and ($9::timestamptz is null or (received_at, id) < ($9, $10))
                     order by received_at desc, id desc limit $11) m
              where t.workspace_id = $1 and ($2::text is null or t.actor_id = $2)
                and ($3::text is null or t.provider = $3)
                and ($4::text is null or t.account = $4 or t.subject = $4)
                and ($5::uuid is null or t.id = $5)
              order by m.received_at desc, m.id desc limit $11",
            &[
                (&filter.workspace, Type::TEXT),
                (&filter.actor, Type::TEXT),
                (&filter.provider, Type::TEXT),
                (&filter.account, Type::TEXT),
                (&filter.connection, Type::UUID),
                (&filter.sender, Type::TEXT),
                (&filter.since, Type::TIMESTAMPTZ),
                (&filter.until, Type::TIMESTAMPTZ),
                (&received_at, Type::TIMESTAMPTZ),
                (&id, Type::UUID),
                (&limit, Type::INT8),
            ],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| Message {
            id: row.get(0),
            message_id: row.get(1),
            thread_id: row.get(2),
            connection_id: ConnectionId(row.get(3)),
            sender: row.get(4),
            subject: row.get(5),
            snippet: row.get(6),
            received_at: row.get(7),
            processed_at: row.get(8),
        })
        .collect())
}
