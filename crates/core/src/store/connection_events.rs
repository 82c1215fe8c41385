//! `connection_events`: what happened to connections. Events of a change are written
//! by the statement that makes the change; this file holds the others.

use tokio_postgres::types::Type;

use super::{Store, StoreError};
use crate::connection::Owner;

/// Records something that changed no row, such as a refused callback.
pub async fn insert(
    store: &Store,
    kind: &str,
    provider: &str,
    owner: Option<&Owner>,
    reason: &str,
) -> Result<(), StoreError> {
    let workspace = owner.map(|owner| owner.workspace.as_str());
    let actor = owner.map(|owner| owner.actor.as_str());
    store
        .write(
            "insert into connection_events (id, type, provider, workspace_id, actor_id, data)
             values (gen_random_uuid(), $1, $2, $3, $4, jsonb_build_object('reason', $5::text))",
            &[
                (&kind, Type::TEXT),
                (&provider, Type::TEXT),
                (&workspace, Type::TEXT),
                (&actor, Type::TEXT),
                (&reason, Type::TEXT),
            ],
        )
        .await
        .map(drop)
}
