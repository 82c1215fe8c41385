//! The right to refresh: a lease in the row. Not `for update`: no transaction may stay
//! open while a token endpoint takes its time. If the holder dies, the lease runs out.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::super::{Store, StoreError};
use crate::connection::{ConnectionId, RowKey, Version};
use crate::scope::ScopeSet;

/// A lease that was got.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// Names the holder.
    pub id: Uuid,
    /// A holder before us began a refresh and never said how it ended.
    pub abandoned: bool,
}

/// Claims the right to refresh one connection for `seconds`; `None` when somebody else
/// holds it, a failure asks to wait, or the token set is no longer the one of `seen`.
/// A `forced` refresh is granted at most once in `forced_every` seconds. Asking again as
/// the same holder, when the answer got lost, gives the same lease.
pub async fn claim(
    store: &Store,
    id: ConnectionId,
    seen: Version,
    holder: Uuid,
    seconds: f64,
    forced_every: Option<f64>,
) -> Result<Option<Lease>, StoreError> {
    let rows = store
        .write(
            "with seen as (
                 select id, lease_id from oauth_tokens
                  where id = $1 and version = $2 and status = 'active'
                    and (lease_id = $3
                         or (lease_until is null or lease_until < now())
                        and (retry_at is null or retry_at <= now())
                        and ($5::float8 is null or forced_at is null
                             or forced_at + make_interval(secs => $5) < now()))
                    for update)
             update oauth_tokens row
                set lease_id = $3, lease_until = now() + make_interval(secs => $4),
                    forced_at = case when $5::float8 is null then forced_at else now() end
               from seen where row.id = seen.id
          returning seen.lease_id is not null and seen.lease_id <> $3",
            &[
                (&id.0, Type::UUID),
                (&seen, Type::INT8),
                (&holder, Type::UUID),
                (&seconds, Type::FLOAT8),
                (&forced_every, Type::FLOAT8),
            ],
        )
        .await?;
    Ok(rows.first().map(|row| Lease {
        id: holder,
        abandoned: row.get(0),
    }))
}

/// A refreshed token set, sealed for its row.
pub struct Refreshed<'a> {
    /// `token_data`.
    pub sealed: &'a [u8],
    /// Under which key.
    pub key_id: String,
    /// What the provider says is granted now; absent: unchanged.
    pub scopes: Option<&'a ScopeSet>,
    /// Seconds from now until the access token ends.
    pub expires_in: Option<f64>,
    /// Seconds from now until the refresh token ends, where the provider says so.
    pub refresh_expires_in: Option<f64>,
}

/// What a stored token set got from the database.
#[derive(Clone, Copy, Debug)]
pub struct Saved {
    /// Counted one up.
    pub version: Version,
    /// When the access token ends, by the database's clock as every other reader sees it.
    pub expires_at: Option<DateTime<Utc>>,
    /// The database's time.
    pub now: DateTime<Utc>,
}

/// Stores a refreshed token set over version `seen`; what was stored, or `None` when
/// the row is gone or has another version. Compares the version and not the lease, so
/// that a late winner who holds a rotated refresh token is still saved.
pub async fn save_refreshed(
    store: &Store,
    key: &RowKey,
    seen: Version,
    refreshed: &Refreshed<'_>,
) -> Result<Option<Saved>, StoreError> {
    store.will_change(key, None).await;
    let scopes = refreshed.scopes.map(ScopeSet::as_slice);
    let rows = store
        .write(
            "with before as (select id, scopes from oauth_tokens where id = $1),
             saved as (
                 update oauth_tokens
                    set token_data = $3, key_id = $4, version = version + 1,
                        scopes = coalesce($5, scopes),
                        scopes_assumed = scopes_assumed and $5::text[] is null,
                        expires_at = now() + make_interval(secs => $6),
                        refresh_expires_at =
                            coalesce(now() + make_interval(secs => $7), refresh_expires_at),
                        status = 'active', status_reason = null,
                        lease_id = null, lease_until = null, retry_at = null,
                        refresh_failures = 0, refresh_failing_since = null, refresh_error = null,
                        updated_at = now(), last_refreshed_at = now()
                  where id = $1 and version = $2 and status <> 'pending'
              returning *),
             noted as (
                 insert into connection_events
                        (id, type, connection_id, provider, workspace_id, actor_id, account, data)
                 select gen_random_uuid(), 'connection.scopes_changed', saved.id, provider,
                        workspace_id, actor_id, account,
                        jsonb_build_object('before', before.scopes, 'after', saved.scopes)
                   from saved join before using (id)
                  where not (saved.scopes @> before.scopes and before.scopes @> saved.scopes)
              returning id)
             select version, expires_at, now(), exists (select from noted) from saved",
            &[
                (&key.id.0, Type::UUID),
                (&seen, Type::INT8),
                (&refreshed.sealed, Type::BYTEA),
                (&refreshed.key_id, Type::TEXT),
                (&scopes, Type::TEXT_ARRAY),
                (&refreshed.expires_in, Type::FLOAT8),
                (&refreshed.refresh_expires_in, Type::FLOAT8),
            ],
        )
        .await?;
    Ok(rows.first().map(|row| {
        if row.get(3) {
            store.wrote_event();
        }
        Saved {
            version: row.get(0),
            expires_at: row.get(1),
            now: row.get(2),
        }
    }))
}

/// So many failures in a row are worth one event.
const FAILING_AFTER: i32 = 5;

/// How a refresh failed without ending the grant.
pub struct Failed<'a> {
    /// A short code for `refresh_error`.
    pub error: &'a str,
    /// Nobody tries again for so many seconds.
    pub retry_in: f64,
    /// Whether it says something about this connection, rather than about all of the provider's.
    pub of_connection: bool,
}

/// Gives the lease back after a failure that did not end the grant.
pub async fn record_failure(
    store: &Store,
    id: ConnectionId,
    lease: Lease,
    failed: &Failed<'_>,
) -> Result<(), StoreError> {
    let rows = store
        .write(
            "with failed as (
                 update oauth_tokens
                    set lease_id = null, lease_until = null,
                        retry_at = now() + make_interval(secs => $3), refresh_error = $4,
                        refresh_failures = refresh_failures + 1,
                        refresh_failing_since = coalesce(refresh_failing_since, now())
                  where id = $1 and lease_id = $2
              returning *)
             insert into connection_events
                    (id, type, connection_id, provider, workspace_id, actor_id, account, data)
             select gen_random_uuid(), 'connection.refresh_failing', id, provider, workspace_id,
                    actor_id, account, jsonb_build_object('reason', refresh_error)
               from failed where refresh_failures = $5 and $6
          returning id",
            &[
                (&id.0, Type::UUID),
                (&lease.id, Type::UUID),
                (&failed.retry_in, Type::FLOAT8),
                (&failed.error, Type::TEXT),
                (&FAILING_AFTER, Type::INT4),
                (&failed.of_connection, Type::BOOL),
            ],
        )
        .await?;
    if !rows.is_empty() {
        store.wrote_event();
    }
    Ok(())
}

/// Gives the lease back without a refresh; nobody tries for `seconds`.
pub async fn put_off(
    store: &Store,
    id: ConnectionId,
    lease: Lease,
    seconds: f64,
) -> Result<(), StoreError> {
    store
        .write(
            "update oauth_tokens
                set lease_id = null, lease_until = null,
                    retry_at = now() + make_interval(secs => $3)
              where id = $1 and lease_id = $2",
            &[
                (&id.0, Type::UUID),
                (&lease.id, Type::UUID),
                (&seconds, Type::FLOAT8),
            ],
        )
        .await
        .map(drop)
}

/// Marks a grant as dead with one event, if its token set is still that of `seen`;
/// whether it did.
pub async fn mark_dead(
    store: &Store,
    key: &RowKey,
    seen: Version,
    reason: &str,
) -> Result<bool, StoreError> {
    store.will_change(key, None).await;
    let rows = store
        .write(
            "with dead as (
                 update oauth_tokens
                    set status = 'reauthorization_required', status_reason = $3,
                        status_since = now(), lease_id = null, lease_until = null,
                        retry_at = null, updated_at = now()
                  where id = $1 and version = $2 and status = 'active'
              returning id, provider, workspace_id, actor_id, account),
             noted as (
                 insert into connection_events
                        (id, type, connection_id, provider, workspace_id, actor_id, account, data)
                 select gen_random_uuid(), 'connection.reauthorization_required', id, provider,
                        workspace_id, actor_id, account, jsonb_build_object('reason', $3::text)
                   from dead)
             select id from dead",
            &[
                (&key.id.0, Type::UUID),
                (&seen, Type::INT8),
                (&reason, Type::TEXT),
            ],
        )
        .await?;
    if !rows.is_empty() {
        store.wrote_event();
    }
    Ok(!rows.is_empty())
}
