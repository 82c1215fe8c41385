//! `connection_events`: what happened to connections. Events of a change are written
//! by the statement that makes the change; this file holds the others.

use tokio_postgres::types::Type;

use super::{Store, StoreError};
use crate::connection::RowKey;

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
    store
        .write(
            "insert into connection_events
                    (id, type, connection_id, provider, workspace_id, actor_id, account)
             select gen_random_uuid(), 'connection.integrity_error', $1, $2, $3, $4, $5
              where not exists (
                    select 1 from connection_events
                     where connection_id = $1 and type = 'connection.integrity_error'
                       and created_at > now() - interval '1 hour')",
            &[
                (&key.id.0, Type::UUID),
                (&key.provider, Type::TEXT),
                (&key.owner.workspace, Type::TEXT),
                (&key.owner.actor, Type::TEXT),
                (&key.account, Type::TEXT),
            ],
        )
        .await
        .map(drop)
}
