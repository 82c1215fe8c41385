//! Rows whose time is over, of every table that grows by itself. One statement, so many rows
//! of each table at the most that it stays short; what is left goes with the next one.

use tokio_postgres::types::Type;

use super::{Store, StoreError};

/// Rows of one table that one statement deletes at the most.
const BATCH: i64 = 5000;

/// Deletes them; how many there were. Nothing that a request could still ask for goes: of
/// audit rows those older than 400 days (events) and 90 days (token reads).
pub async fn prune(store: &Store) -> Result<i64, StoreError> {
    let rows = store
        .write(
            "with flows as (
                 delete from pending_authorizations where id in (
                     select id from pending_authorizations where expires_at < now()
                      limit $1 for update skip locked) returning 1),
             links as (
                 delete from completed_links where id in (
                     select id from completed_links where expires_at < now()
                      limit $1 for update skip locked) returning 1),
             unconfirmed as (
                 delete from oauth_tokens where id in (
                     select id from oauth_tokens where pending_until < now() and status = 'pending'
                      limit $1 for update skip locked) returning 1),
             sent as (
                 delete from sent_messages where (connection_id, idempotency_key) in (
                     select connection_id, idempotency_key from sent_messages
                      where created_at < now() - interval '7 days'
                      limit $1 for update skip locked) returning 1),
             reads as (
                 delete from token_reads where id in (
                     select id from token_reads where read_at < now() - interval '90 days'
                      limit $1 for update skip locked) returning 1),
             events as (
                 delete from connection_events where id in (
                     select id from connection_events where created_at < now() - interval '400 days'
                      limit $1 for update skip locked) returning 1)
             select (select count(*) from flows) + (select count(*) from links)
                  + (select count(*) from unconfirmed) + (select count(*) from sent)
                  + (select count(*) from reads) + (select count(*) from events)",
            &[(&BATCH, Type::INT8)],
        )
        .await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}
