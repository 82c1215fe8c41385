//! Connections whose turn it is: to be refreshed before anybody asks, and to be told that
//! their end is near.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::super::{Store, StoreError};
use super::lease::Lease;
use super::{COLUMNS, Connection};

/// Why connections are due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The access token ends soon, and more than half of its life is over.
    Expiring,
    /// The refresh token would die of not being used.
    Idle,
}

/// Which connections of one provider are due.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// Why.
    pub reason: Reason,
    /// Seconds: before the access token's end where it is expiring, since the last use where it
    /// is idle. A connection's own part of `spread` is added to it, always the same one.
    pub seconds: f64,
    /// Seconds over which connections that came at the same time are spread.
    pub spread: f64,
    /// Seconds that have to lie between two refreshes.
    pub interval: Option<f64>,
    /// What was refreshed since, or failed, is not due again.
    pub since: DateTime<Utc>,
}

/// The database's time.
pub async fn now(store: &Store) -> Result<DateTime<Utc>, StoreError> {
    let rows = store.read("select now()", &[]).await?;
    rows.first()
        .map(|row| row.get(0))
        .ok_or_else(|| StoreError::Unavailable("no answer".to_owned()))
}

/// Takes the leases of `limit` connections that are due at the most, for `seconds`: those that
/// are due longest. What somebody else takes at this moment is passed over, so any number of
/// callers share the work.
pub async fn claim(
    store: &Store,
    due: &Due<'_>,
    holder: Uuid,
    seconds: f64,
    limit: i64,
) -> Result<Vec<(Connection, Lease)>, StoreError> {
    // The first comparison of each can use the index, the second is the connection's own.
    let (condition, order) = match due.reason {
        Reason::Expiring => (
            "expires_at < now() + make_interval(secs => $2 + $3)
             and expires_at < now() + make_interval(secs => $2 + $3 * get_byte(uuid_send(id), 15) / 256)
             and expires_at - now() <= now() - coalesce(last_refreshed_at, status_since)",
            "expires_at",
        ),
        Reason::Idle => (
            "coalesce(last_refreshed_at, status_since) < now() - make_interval(secs => $2)
             and coalesce(last_refreshed_at, status_since)
                 < now() - make_interval(secs => $2 + $3 * get_byte(uuid_send(id), 15) / 256)",
            "coalesce(last_refreshed_at, status_since)",
        ),
    };
    let rows = store
        .write(
            &format!(
                "with due as (
                     select id as due_id, lease_id as held_by from oauth_tokens
                      where provider = $1 and status = 'active' and {condition}
                        and ($4::float8 is null or coalesce(last_refreshed_at, status_since)
                             < now() - make_interval(secs => $4))
                        and coalesce(last_refreshed_at, status_since) < $5
                        and (retry_at is null or retry_at <= $5)
                        and (lease_until is null or lease_until < now())
                        and (status_reason is distinct from 'expires_without_refresh'
                             or expires_at <= now())
                      order by {order} limit $6 for update skip locked)
                 update oauth_tokens
                    set lease_id = $7, lease_until = now() + make_interval(secs => $8)
                   from due where id = due_id
              returning {COLUMNS}, held_by is not null"
            ),
            &[
                (&due.provider, Type::TEXT),
                (&due.seconds, Type::FLOAT8),
                (&due.spread, Type::FLOAT8),
                (&due.interval, Type::FLOAT8),
                (&due.since, Type::TIMESTAMPTZ),
                (&limit, Type::INT8),
                (&holder, Type::UUID),
                (&seconds, Type::FLOAT8),
            ],
        )
        .await?;
    let claimed = rows.iter().map(|row| {
        let lease = Lease {
            id: holder,
            abandoned: row.get(row.len() - 1),
        };
        (Connection::read(row), lease)
    });
    Ok(claimed.collect())
}

/// Writes an event for each grant of these providers that no refresh keeps alive for longer
/// than 14, 3 or 1 days, once for each of these; how many. Of a grant that never had as long
/// as that, nobody needs to be told.
pub async fn announce_ends(store: &Store, providers: &[&str]) -> Result<u64, StoreError> {
    let rows = store
        .write(
            "with ending as (
                 select *, case when refresh_expires_at < now() + interval '1 day' then 1
                                when refresh_expires_at < now() + interval '3 days' then 3
                                else 14 end as days
                   from oauth_tokens
                  where status = 'active' and provider = any($1)
                    and refresh_expires_at > now()
                    and refresh_expires_at < now() + interval '14 days'),
             due as (
                 select *, md5(concat_ws(' ', id, extract(epoch from status_since), days))::uuid as event_id
                   from ending
                  where refresh_expires_at - status_since > make_interval(days => days)),
             noted as (
                 insert into connection_events
                        (id, type, connection_id, provider, workspace_id, actor_id, account, data)
                 select event_id, 'connection.reauth_due', id, provider, workspace_id, actor_id,
                        account, jsonb_build_object('days', days, 'ends_at', refresh_expires_at)
                   from due
                  where not exists (select from connection_events where connection_events.id = event_id)
                  limit 1000
                 on conflict (id) do nothing
              returning 1)
             select count(*) from noted",
            &[(&providers, Type::TEXT_ARRAY)],
        )
        .await?;
    let count = rows.first().map_or(0, |row| row.get::<_, i64>(0));
    if count > 0 {
        store.wrote_event();
    }
    Ok(count.unsigned_abs())
}
