//! `gmail_watches`: what to look for in which mailbox. How far that has come is written by
//! the poll ([`super::gmail_mailboxes::finish`]).

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Cursor, Store, StoreError};
use crate::connection::{ConnectionId, Owner, RowKey};

/// A watch with the state of its mailbox.
pub struct Watch {
    /// Names it.
    pub id: Uuid,
    /// Whose mailbox.
    pub key: RowKey,
    /// In the provider's search language.
    pub query: String,
    /// What was there before it was set up has been listed.
    pub listed: bool,
    /// The last poll that succeeded.
    pub polled_at: Option<DateTime<Utc>>,
    /// What went wrong in the last poll; a code.
    pub error: Option<String>,
    /// When it is polled next, at the earliest.
    pub next_poll_at: DateTime<Utc>,
    /// When it was set up.
    pub created_at: DateTime<Utc>,
}

impl Watch {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get(0),
            key: RowKey {
                id: ConnectionId(row.get(1)),
                provider: row.get(2),
                owner: Owner {
                    workspace: row.get(3),
                    actor: row.get(4),
                },
                account: row.get(5),
            },
            query: row.get(6),
            listed: row.get(7),
            polled_at: row.get(8),
            error: row.get(9),
            next_poll_at: row.get(10),
            created_at: row.get(11),
        }
    }
}

/// What [`Watch::read`] reads, in its order. A connection that does not work is the reason
/// that comes first.
const COLUMNS: &str = "w.id, t.id, t.provider, t.workspace_id, t.actor_id, t.account, w.query, \
    w.listed, m.polled_at, case when t.status <> 'active' then t.status else m.error end, \
    m.poll_at, w.created_at";

/// Sets a watch up, due at once, unless there are `limit` already; the one that is there
/// is left alone. `false` when there are too many.
pub async fn insert(
    store: &Store,
    id: Uuid,
    connection: ConnectionId,
    query: &str,
    limit: i64,
) -> Result<bool, StoreError> {
    let rows = store
        .write(
            "with there as (
                 select query from gmail_watches where connection_id = $2),
             fits as (
                 select exists (select 1 from there where query = $3) as known,
                        (select count(*) from there) < $4 as room),
             mailbox as (
                 insert into gmail_mailboxes (connection_id)
                 select $2 from fits where not known and room
                     on conflict (connection_id) do update set poll_at = now()
              returning connection_id),
             added as (
                 insert into gmail_watches (id, connection_id, query)
                 select $1, connection_id, $3 from mailbox
                     on conflict (connection_id, query) do nothing)
             select known or room from fits",
            &[
                (&id, Type::UUID),
                (&connection.0, Type::UUID),
                (&query, Type::TEXT),
                (&limit, Type::INT8),
            ],
        )
        .await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// The watch of a mailbox with this query.
pub async fn find(
    store: &Store,
    connection: ConnectionId,
    query: &str,
) -> Result<Option<Watch>, StoreError> {
    let sql = format!(
        "select {COLUMNS} from gmail_watches w
           join gmail_mailboxes m using (connection_id) join oauth_tokens t on t.id = connection_id
          where connection_id = $1 and query = $2"
    );
    let params = [(&connection.0 as _, Type::UUID), (&query as _, Type::TEXT)];
    let rows = store.read(&sql, &params).await?;
    Ok(rows.first().map(Watch::read))
}

/// The watch of this id.
pub async fn find_by_id(store: &Store, id: Uuid) -> Result<Option<Watch>, StoreError> {
    let sql = format!(
        "select {COLUMNS} from gmail_watches w
           join gmail_mailboxes m using (connection_id) join oauth_tokens t on t.id = connection_id
          where w.id = $1"
    );
    let rows = store.read(&sql, &[(&id, Type::UUID)]).await?;
    Ok(rows.first().map(Watch::read))
}

/// Which watches to list; what is absent does not matter.
pub struct Filter<'a> {
    /// The tenant.
    pub workspace: &'a str,
    /// The user within it.
    pub actor: Option<&'a str>,
    /// The provider's name.
    pub provider: Option<&'a str>,
    /// The account at the provider.
    pub account: Option<&'a str>,
    /// One connection.
    pub connection: Option<Uuid>,
}

/// Watches, oldest first, `limit` at the most.
pub async fn list(
    store: &Store,
    filter: &Filter<'_>,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Watch>, StoreError> {
    let (created_at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    let sql = format!(
        "select {COLUMNS} from gmail_watches w
           join gmail_mailboxes m using (connection_id) join oauth_tokens t on t.id = connection_id
          where t.workspace_id = $1 and ($2::text is null or t.actor_id = $2)
            and ($3::text is null or t.provider = $3)
            and ($4::text is null or t.account = $4 or t.subject = $4)
            and ($5::uuid is null or t.id = $5)
            and ($6::timestamptz is null or (w.created_at, w.id) > ($6, $7))
          order by w.created_at, w.id limit $8"
    );
    let rows = store
        .read(
            &sql,
            &[
                (&filter.workspace, Type::TEXT),
                (&filter.actor, Type::TEXT),
                (&filter.provider, Type::TEXT),
                (&filter.account, Type::TEXT),
                (&filter.connection, Type::UUID),
                (&created_at, Type::TIMESTAMPTZ),
                (&id, Type::UUID),
                (&limit, Type::INT8),
            ],
        )
        .await?;
    Ok(rows.iter().map(Watch::read).collect())
}

/// Takes a watch away; whether it was there. What it found stays.
pub async fn delete(store: &Store, id: Uuid) -> Result<bool, StoreError> {
    let rows = store
        .write(
            "delete from gmail_watches where id = $1 returning id",
            &[(&id, Type::UUID)],
        )
        .await?;
    Ok(!rows.is_empty())
}
