//! `connection_events`: what happened to connections. Events of a change are written
//! by the statement that makes the change; this file holds the others, and reads them.
//! Their delivery is in [`outbox`].

pub mod outbox;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::connection::RowKey;

/// What happened to a connection, or to all of a provider.
pub struct Event {
    /// Names it; `webhook-id` of its delivery.
    pub id: Uuid,
    /// Such as `connection.recovered`.
    pub kind: String,
    /// Absent for events of a whole provider.
    pub connection_id: Option<Uuid>,
    /// The provider's name.
    pub provider: String,
    /// The tenant.
    pub workspace: Option<String>,
    /// The user within it.
    pub actor: Option<String>,
    /// The account at the provider.
    pub account: Option<String>,
    /// Members of its own; never a token.
    pub data: Value,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When its webhook was delivered.
    pub delivered_at: Option<DateTime<Utc>>,
    /// How often delivery was tried.
    pub delivery_attempts: i32,
    /// Why the last attempt failed.
    pub delivery_error: Option<String>,
    /// No further attempt is made.
    pub delivery_given_up: bool,
}

/// Which events; what is `None` does not limit.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this type.
    pub kind: Option<String>,
    /// Of this connection.
    pub connection_id: Option<Uuid>,
    /// Of this provider.
    pub provider: Option<String>,
    /// Of this workspace.
    pub workspace: Option<String>,
    /// Written at or after this.
    pub since: Option<DateTime<Utc>>,
}

/// Where a page of [`list`] ended: time and id of its last event.
pub type Cursor = (DateTime<Utc>, Uuid);

/// Events, oldest first, `limit` at the most, those after the cursor.
pub async fn list(
    store: &Store,
    filter: &Filter,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    let (after, after_id) = after.unzip();
    let rows = store
        .read(
            "select id, type, connection_id, provider, workspace_id, actor_id, account, data,
                    created_at, delivered_at, delivery_attempts, delivery_error, delivery_given_up
               from connection_events
              where ($1::text is null or type = $1)
                and ($2::uuid is null or connection_id = $2)
                and ($3::text is null or provider = $3)
                and ($4::text is null or workspace_id = $4)
                and ($5::timestamptz is null or created_at >= $5)
                and ($6::timestamptz is null or (created_at, id) > ($6, $7))
              order by created_at, id limit $8",
            &[
                (&filter.kind, Type::TEXT),
                (&filter.connection_id, Type::UUID),
                (&filter.provider, Type::TEXT),
                (&filter.workspace, Type::TEXT),
                (&filter.since, Type::TIMESTAMPTZ),
                (&after, Type::TIMESTAMPTZ),
                (&after_id, Type::UUID),
                (&limit, Type::INT8),
            ],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| Event {
            id: row.get(0),
            kind: row.get(1),
            connection_id: row.get(2),
            provider: row.get(3),
            workspace: row.get(4),
            actor: row.get(5),
            account: row.get(6),
            data: row.get(7),
            created_at: row.get(8),
            delivered_at: row.get(9),
            delivery_attempts: row.get(10),
            delivery_error: row.get(11),
            delivery_given_up: row.get(12),
        })
        .collect())
}

/// Records that a callback was refused. Anybody can cause that, so one row a minute for
/// each provider and reason is enough; every one of them is logged.
pub async fn insert_refused_callback(
    store: &Store,
    provider: &str,
    reason: &str,
) -> Result<(), StoreError> {
    store
        .write(
            "insert into connection_events (id, type, provider, data)
             select gen_random_uuid(), 'callback.refused', $1,
                    jsonb_build_object('reason', $2::text)
              where not exists (
                    select 1 from connection_events
                     where created_at > now() - interval '1 minute'
                       and type = 'callback.refused' and provider = $1
                       and data ->> 'reason' = $2)",
            &[(&provider, Type::TEXT), (&reason, Type::TEXT)],
        )
        .await
        .map(drop)
}

/// Records that a row's token set was altered or moved there from elsewhere; once an hour
/// is enough, however often it is read.
pub async fn insert_integrity_error(store: &Store, key: &RowKey) -> Result<(), StoreError> {
    let rows = store
        .write(
            "insert into connection_events
                    (id, type, connection_id, provider, workspace_id, actor_id, account)
             select gen_random_uuid(), 'connection.integrity_error', $1, $2, $3, $4, $5
              where not exists (
                    select 1 from connection_events
                     where connection_id = $1 and type = 'connection.integrity_error'
                       and created_at > now() - interval '1 hour')
          returning id",
            &[
                (&key.id.0, Type::UUID),
                (&key.provider, Type::TEXT),
                (&key.owner.workspace, Type::TEXT),
                (&key.owner.actor, Type::TEXT),
                (&key.account, Type::TEXT),
            ],
        )
        .await?;
    if !rows.is_empty() {
        store.wrote_event();
    }
    Ok(())
}

/// Records that a provider refuses our client, whichever connection it was that met with it:
/// one event until it works again, and another one every six hours while it does not. The id
/// is made from the occasion, so that instances that notice at once write one row.
pub async fn insert_client_refused(
    store: &Store,
    provider: &str,
    error: &str,
) -> Result<(), StoreError> {
    let rows = store
        .write(
            "with last as (
                 select max(created_at) filter (where type = 'provider.client_accepted') as accepted,
                        max(created_at) filter (where type = 'provider.client_refused') as refused
                   from connection_events
                  where connection_id is null and provider = $1
                    and type in ('provider.client_accepted', 'provider.client_refused'))
             insert into connection_events (id, type, provider, data)
             select md5(concat_ws(' ', $1::text, extract(epoch from accepted),
                                  floor(extract(epoch from now()) / 21600)))::uuid,
                    'provider.client_refused', $1, jsonb_build_object('reason', $2::text)
               from last
              where refused is null or refused < accepted
                 or refused < now() - interval '6 hours'
             on conflict (id) do nothing
          returning id",
            &[(&provider, Type::TEXT), (&error, Type::TEXT)],
        )
        .await?;
    if !rows.is_empty() {
        store.wrote_event();
    }
    Ok(())
}

/// Records that these providers, which just refreshed something, accept our client again,
/// where the last that was said of them is that they do not.
pub async fn insert_client_accepted(store: &Store, providers: &[&str]) -> Result<(), StoreError> {
    let rows = store
        .write(
            "with last as (
                 select provider,
                        max(created_at) filter (where type = 'provider.client_accepted') as accepted,
                        max(created_at) filter (where type = 'provider.client_refused') as refused
                   from connection_events
                  where connection_id is null and provider = any($1)
                    and type in ('provider.client_accepted', 'provider.client_refused')
                  group by provider)
             insert into connection_events (id, type, provider)
             select md5(concat_ws(' ', provider, 'accepted', extract(epoch from refused)))::uuid,
                    'provider.client_accepted', provider
               from last where refused > coalesce(accepted, '-infinity')
             on conflict (id) do nothing
          returning id",
            &[(&providers, Type::TEXT_ARRAY)],
        )
        .await?;
    if !rows.is_empty() {
        store.wrote_event();
    }
    Ok(())
}
