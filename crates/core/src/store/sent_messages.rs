//! `sent_messages`: calls that carried an idempotency key. A row is claimed before a message is
//! sent and completed afterwards; a claim that was not completed runs out.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{Store, StoreError};
use crate::connection::ConnectionId;

/// Who may send.
#[derive(Debug)]
pub enum Claim {
    /// The caller, for the first time.
    First,
    /// The caller, after one whose outcome nobody recorded.
    Again {
        /// When the key was first used.
        since: DateTime<Utc>,
    },
    /// Nobody: it was sent.
    Sent(SentMessage),
    /// Nobody now: somebody else is sending it.
    Busy,
    /// Nobody: the key was used for another message.
    OtherMessage,
}

/// What was sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SentMessage {
    /// Its id in the sender's mailbox.
    pub message_id: String,
    /// Its conversation there.
    pub thread_id: String,
}

/// Claims the right to send a message under a key for `lease` seconds.
pub async fn claim(
    store: &Store,
    connection: ConnectionId,
    key: &str,
    fingerprint: &[u8],
    lease: f64,
) -> Result<Claim, StoreError> {
    let rows = store
        .write(
            "with claimed as (
                 insert into sent_messages
                     (connection_id, idempotency_key, request_hash, lease_until)
                 values ($1, $2, $3, now() + make_interval(secs => $4))
                 on conflict (connection_id, idempotency_key) do update
                    set lease_until = excluded.lease_until
                  where sent_messages.message_id is null
                    and sent_messages.lease_until < now()
                    and sent_messages.request_hash = excluded.request_hash
                 returning created_at, created_at = now() as first
             )
             select first, created_at, null::bytea, null::text, null::text from claimed
             union all
             select null, created_at, request_hash, message_id, thread_id from sent_messages
              where connection_id = $1 and idempotency_key = $2
                and not exists (select 1 from claimed)",
            &[
                (&connection.0, Type::UUID),
                (&key, Type::TEXT),
                (&fingerprint, Type::BYTEA),
                (&lease, Type::FLOAT8),
            ],
        )
        .await?;
    // No row at all: somebody else inserted it after this statement began.
    Ok(rows
        .first()
        .map_or(Claim::Busy, |row| read(row, fingerprint)))
}

fn read(row: &Row, fingerprint: &[u8]) -> Claim {
    match row.get::<_, Option<bool>>(0) {
        Some(true) => return Claim::First,
        Some(false) => return Claim::Again { since: row.get(1) },
        None => {}
    }
    if row.get::<_, &[u8]>(2) != fingerprint {
        return Claim::OtherMessage;
    }
    match (row.get(3), row.get(4)) {
        (Some(message_id), Some(thread_id)) => Claim::Sent(SentMessage {
            message_id,
            thread_id,
        }),
        _ => Claim::Busy,
    }
}

/// Records what was sent under a key.
pub async fn complete(
    store: &Store,
    connection: ConnectionId,
    key: &str,
    sent: &SentMessage,
) -> Result<(), StoreError> {
    store
        .write(
            "update sent_messages set message_id = $3, thread_id = $4
              where connection_id = $1 and idempotency_key = $2",
            &[
                (&connection.0, Type::UUID),
                (&key, Type::TEXT),
                (&sent.message_id, Type::TEXT),
                (&sent.thread_id, Type::TEXT),
            ],
        )
        .await
        .map(drop)
}

/// Gives a claim back: nothing was sent, and the next call may try.
pub async fn give_back(
    store: &Store,
    connection: ConnectionId,
    key: &str,
) -> Result<(), StoreError> {
    store
        .write(
            "delete from sent_messages
              where connection_id = $1 and idempotency_key = $2 and message_id is null",
            &[(&connection.0, Type::UUID), (&key, Type::TEXT)],
        )
        .await
        .map(drop)
}
