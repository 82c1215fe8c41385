//! Whole rows for backups, and back again. What belongs to a moment, leases and token sets
//! that wait for confirmation, is left out.

use serde_json::Value;
use tokio_postgres::types::{Json, Type};
use uuid::Uuid;

use super::operators::Filter;
use crate::connection::RowKey;
use crate::store::{Store, StoreError};

/// At most `limit` rows as JSON by column name, by id behind `after`; `token_data` is hex
/// as Postgres writes it, `\x…`.
pub async fn page(
    store: &Store,
    filter: &Filter,
    id: Option<Uuid>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<(Uuid, Value)>, StoreError> {
    let rows = store
        .read(
            "select id, to_jsonb(o) - array['pending_token_data', 'pending_until', 'lease_id',
                                            'lease_until', 'forced_at']
               from oauth_tokens o
              where token_data is not null and status <> 'pending'
                and ($1::text is null or provider = $1)
                and ($2::text is null or workspace_id = $2)
                and ($3::text is null or actor_id = $3)
                and ($4::text is null or account = $4 or subject = $4)
                and ($5::uuid is null or id = $5)
                and ($6::uuid is null or id > $6)
              order by id limit $7",
            &[
                (&filter.provider, Type::TEXT),
                (&filter.workspace, Type::TEXT),
                (&filter.actor, Type::TEXT),
                (&filter.account, Type::TEXT),
                (&id, Type::UUID),
                (&after, Type::UUID),
                (&limit, Type::INT8),
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// What became of restored rows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Restored {
    /// Written.
    pub restored: i64,
    /// There already, as they are in the backup or newer.
    pub unchanged: i64,
    /// Not written: their account has a connection of another id.
    pub taken: i64,
}

/// Writes rows that [`page`] gave, ids, times and versions included; a row of the same id is
/// left alone unless it is older. Each row that is written has an event, which is not
/// delivered: nothing happened to the grant.
pub async fn restore(store: &Store, rows: &[(RowKey, Value)]) -> Result<Restored, StoreError> {
    for (key, row) in rows {
        let subject = row.get("subject").and_then(Value::as_str);
        // Where Redis does not take one, it is not asked for each of thousands.
        if !store.will_change(key, subject).await {
            break;
        }
    }
    let rows: Vec<&Value> = rows.iter().map(|(_, row)| row).collect();
    let answer = store
        .write(
            "with given as (
                 select * from json_to_recordset($1::json) as given (
                        id uuid, provider text, workspace_id text, actor_id text, account text,
                        subject text, client_id text, scopes text[], requested_scopes text[],
                        scopes_assumed boolean, expires_at timestamptz,
                        refresh_expires_at timestamptz, status text, status_reason text,
                        status_since timestamptz, token_data bytea, key_id text, version bigint,
                        retry_at timestamptz, refresh_failures integer,
                        refresh_failing_since timestamptz, refresh_error text,
                        created_at timestamptz, updated_at timestamptz,
                        last_refreshed_at timestamptz)),
             taken as (
                 select given.id from given join oauth_tokens o
                        using (provider, workspace_id, actor_id, account)
                  where o.id <> given.id),
             written as (
                 insert into oauth_tokens
                        (id, provider, workspace_id, actor_id, account, subject, client_id, scopes,
                         requested_scopes, scopes_assumed, expires_at, refresh_expires_at, status,
                         status_reason, status_since, token_data, key_id, version, retry_at,
                         refresh_failures, refresh_failing_since, refresh_error, created_at,
                         updated_at, last_refreshed_at)
                 select id, provider, workspace_id, actor_id, account, subject, client_id, scopes,
                        requested_scopes, scopes_assumed, expires_at, refresh_expires_at, status,
                        status_reason, status_since, token_data, key_id, version, retry_at,
                        refresh_failures, refresh_failing_since, refresh_error, created_at,
                        updated_at, last_refreshed_at
                   from given where id not in (select id from taken)
                 on conflict (id) do update
                    set subject = excluded.subject, client_id = excluded.client_id,
                        scopes = excluded.scopes, requested_scopes = excluded.requested_scopes,
                        scopes_assumed = excluded.scopes_assumed,
                        expires_at = excluded.expires_at,
                        refresh_expires_at = excluded.refresh_expires_at,
                        status = excluded.status, status_reason = excluded.status_reason,
                        status_since = excluded.status_since, token_data = excluded.token_data,
                        key_id = excluded.key_id, version = excluded.version,
                        retry_at = excluded.retry_at,
                        refresh_failures = excluded.refresh_failures,
                        refresh_failing_since = excluded.refresh_failing_since,
                        refresh_error = excluded.refresh_error,
                        updated_at = excluded.updated_at,
                        last_refreshed_at = excluded.last_refreshed_at,
                        lease_id = null, lease_until = null
                  where oauth_tokens.version < excluded.version
                    and (oauth_tokens.provider, oauth_tokens.workspace_id, oauth_tokens.actor_id,
                         oauth_tokens.account)
                      = (excluded.provider, excluded.workspace_id, excluded.actor_id,
                         excluded.account)
              returning id, provider, workspace_id, actor_id, account),
             noted as (
                 insert into connection_events
                        (id, type, connection_id, provider, workspace_id, actor_id, account,
                         delivery_given_up)
                 select gen_random_uuid(), 'connection.restored', id, provider, workspace_id,
                        actor_id, account, true
                   from written)
             select (select count(*) from given), (select count(*) from written),
                    (select count(*) from taken)",
            &[(&Json(&rows), Type::JSON)],
        )
        .await?;
    Ok(answer.first().map_or_else(Restored::default, |row| {
        let (given, restored, taken): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        Restored {
            restored,
            taken,
            unchanged: given - restored - taken,
        }
    }))
}
