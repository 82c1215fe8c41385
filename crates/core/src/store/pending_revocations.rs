//! `pending_revocations`: grants of connections that are gone, whose provider could not be
//! told yet. The token is kept sealed, for a day at the most.

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::connection::{ConnectionId, Owner, RowKey};

/// A revocation whose turn it is.
pub struct Pending {
    /// The connection that it was; the ciphertext is bound to it.
    pub key: RowKey,
    /// The account's stable id.
    pub subject: Option<String>,
    /// The client that the tokens were issued to.
    pub client_id: String,
    /// The sealed token set.
    pub sealed: Vec<u8>,
    /// How often it was tried from here, this time included.
    pub attempts: i32,
    /// The day is over: this is the last attempt.
    pub last: bool,
}

/// Forgets a connection with its ciphertext, puts `sealed` here instead, to be tried again
/// in `retry_in` seconds, and notes both. Nothing where the connection is gone already.
pub async fn queue(
    store: &Store,
    key: &RowKey,
    sealed: &[u8],
    key_id: &str,
    retry_in: f64,
) -> Result<(), StoreError> {
    store.will_change(key, None).await;
    let rows = store
        .write(
            "with gone as (
                 delete from oauth_tokens where id = $1
              returning id, provider, workspace_id, actor_id, account, subject, client_id),
             queued as (
                 insert into pending_revocations
                        (id, provider, workspace_id, actor_id, account, subject, client_id,
                         token_data, key_id, retry_at, expires_at)
                 select id, provider, workspace_id, actor_id, account, subject, client_id, $2, $3,
                        now() + make_interval(secs => $4), now() + interval '24 hours'
                   from gone),
             noted as (
                 insert into connection_events
                        (id, type, connection_id, provider, workspace_id, actor_id, account, data)
                 select gen_random_uuid(), 'connection.disconnected', id, provider, workspace_id,
                        actor_id, account, '{\"revoked\": false, \"reason\": \"queued\"}'
                   from gone)
             select from gone",
            &[
                (&key.id.0, Type::UUID),
                (&sealed, Type::BYTEA),
                (&key_id, Type::TEXT),
                (&retry_in, Type::FLOAT8),
            ],
        )
        .await?;
    if !rows.is_empty() {
        store.wrote_event();
    }
    Ok(())
}

/// Takes what is due, `limit` at the most. Nobody else takes it for `seconds`; if the taker
/// dies, it is due again then.
pub async fn claim(store: &Store, limit: i64, seconds: f64) -> Result<Vec<Pending>, StoreError> {
    let rows = store
        .write(
            "with due as (
                 select id as due_id from pending_revocations
                  where retry_at <= now() order by retry_at limit $1 for update skip locked)
             update pending_revocations
                set retry_at = now() + make_interval(secs => $2), attempts = attempts + 1
               from due where id = due_id
          returning id, provider, workspace_id, actor_id, account, subject, client_id, token_data,
                    attempts, expires_at <= now()",
            &[(&limit, Type::INT8), (&seconds, Type::FLOAT8)],
        )
        .await?;
    let read = |row: &Row| Pending {
        key: key(row),
        subject: row.get(5),
        client_id: row.get(6),
        sealed: row.get(7),
        attempts: row.get(8),
        last: row.get(9),
    };
    Ok(rows.iter().map(read).collect())
}

fn key(row: &Row) -> RowKey {
    RowKey {
        id: ConnectionId(row.get(0)),
        provider: row.get(1),
        owner: Owner {
            workspace: row.get(2),
            actor: row.get(3),
        },
        account: row.get(4),
    }
}

/// Tries again in `seconds`, when the day is over at the latest.
pub async fn put_off(store: &Store, id: ConnectionId, seconds: f64) -> Result<(), StoreError> {
    store
        .write(
            "update pending_revocations
                set retry_at = least(now() + make_interval(secs => $2), expires_at)
              where id = $1",
            &[(&id.0, Type::UUID), (&seconds, Type::FLOAT8)],
        )
        .await
        .map(drop)
}

/// Forgets the token and notes how it ended: `None` is revoked, else why it was not.
pub async fn finish(
    store: &Store,
    id: ConnectionId,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let rows = store
        .write(
            "with gone as (
                 delete from pending_revocations where id = $1
              returning id, provider, workspace_id, actor_id, account)
             insert into connection_events
                    (id, type, connection_id, provider, workspace_id, actor_id, account, data)
             select gen_random_uuid(),
                    case when $2::text is null then 'connection.revoked'
                         else 'connection.revoke_failed' end,
                    id, provider, workspace_id, actor_id, account,
                    case when $2 is null then '{}' else jsonb_build_object('reason', $2) end
               from gone
          returning id",
            &[(&id.0, Type::UUID), (&reason, Type::TEXT)],
        )
        .await?;
    if !rows.is_empty() {
        store.wrote_event();
    }
    Ok(())
}

/// At most `limit` tokens behind `after`, by id, that are not sealed under `primary`: what each
/// is bound to, and its ciphertext.
pub async fn list_aged(
    store: &Store,
    primary: &str,
    after: Uuid,
    limit: i64,
) -> Result<Vec<(RowKey, Vec<u8>)>, StoreError> {
    let rows = store
        .read(
            "select id, provider, workspace_id, actor_id, account, token_data
               from pending_revocations where id > $2 and key_id <> $1 order by id limit $3",
            &[
                (&primary, Type::TEXT),
                (&after, Type::UUID),
                (&limit, Type::INT8),
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| (key(row), row.get(5))).collect())
}

/// Puts a token under another key, if it is still there.
pub async fn replace(
    store: &Store,
    id: ConnectionId,
    sealed: &[u8],
    key_id: &str,
) -> Result<bool, StoreError> {
    let rows = store
        .write(
            "update pending_revocations set token_data = $2, key_id = $3 where id = $1
          returning id",
            &[
                (&id.0, Type::UUID),
                (&sealed, Type::BYTEA),
                (&key_id, Type::TEXT),
            ],
        )
        .await?;
    Ok(!rows.is_empty())
}

/// How many tokens are sealed under each key.
pub async fn count_by_key(store: &Store) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = store
        .read(
            "select key_id, count(*) from pending_revocations group by key_id",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
