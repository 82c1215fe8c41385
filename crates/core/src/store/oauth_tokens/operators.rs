//! What only operators ask of `oauth_tokens`: across workspaces, page by page.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{COLUMNS, Connection, NOT_FORGOTTEN, Status};
use crate::store::{Store, StoreError};

/// Which connections; absent parts are any.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The provider's name.
    pub provider: Option<String>,
    /// The tenant.
    pub workspace: Option<String>,
    /// The user within it.
    pub actor: Option<String>,
    /// The account's label or stable id.
    pub account: Option<String>,
    /// Whether they work.
    pub status: Option<Status>,
    /// Whose access token ends within so many seconds, or has ended, and which can be refreshed.
    pub due_within: Option<f64>,
}

/// Where a page ended.
#[derive(Clone, Debug)]
pub struct Mark {
    workspace: String,
    actor: String,
    created_at: DateTime<Utc>,
    id: Uuid,
}

impl Mark {
    /// Behind this connection.
    pub fn of(connection: &Connection) -> Self {
        Self {
            workspace: connection.key.owner.workspace.clone(),
            actor: connection.key.owner.actor.clone(),
            created_at: connection.created_at,
            id: connection.key.id.0,
        }
    }
}

/// At most `limit` connections by workspace, actor and age, which is the order of an index:
/// a page costs the same wherever it begins.
pub async fn page(
    store: &Store,
    filter: &Filter,
    after: Option<&Mark>,
    limit: i64,
) -> Result<Vec<Connection>, StoreError> {
    let status = filter.status.map(Status::as_str);
    let rows = store
        .read(
            &format!(
                "select {COLUMNS} from oauth_tokens
                  where ($1::text is null or provider = $1)
                    and ($2::text is null or workspace_id = $2)
                    and ($3::text is null or actor_id = $3)
                    and ($4::text is null or account = $4 or subject = $4)
                    and ($5::text is null or status = $5)
                    and ($6::float8 is null or (status = 'active'
                         and expires_at < now() + make_interval(secs => $6)))
                    and ($7::text is null
                         or (workspace_id, actor_id, created_at, id) > ($7, $8, $9, $10))
                    and {NOT_FORGOTTEN}
                  order by workspace_id, actor_id, created_at, id limit $11"
            ),
            &[
                (&filter.provider, Type::TEXT),
                (&filter.workspace, Type::TEXT),
                (&filter.actor, Type::TEXT),
                (&filter.account, Type::TEXT),
                (&status, Type::TEXT),
                (&filter.due_within, Type::FLOAT8),
                (&after.map(|mark| &mark.workspace), Type::TEXT),
                (&after.map(|mark| &mark.actor), Type::TEXT),
                (&after.map(|mark| mark.created_at), Type::TIMESTAMPTZ),
                (&after.map(|mark| mark.id), Type::UUID),
                (&limit, Type::INT8),
            ],
        )
        .await?;
    Ok(rows.iter().map(Connection::read).collect())
}
