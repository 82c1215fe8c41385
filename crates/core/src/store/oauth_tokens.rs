//! `oauth_tokens`: finding and listing connections. Changes are in [`mod@write`], the
//! right to refresh in [`lease`], what only operators ask in [`operators`].

pub mod backup;
pub mod due;
pub mod import;
pub mod keys;
pub mod lease;
pub mod operators;
pub mod write;

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::{Cursor, Store, StoreError};
use crate::connection::{ConnectionId, Owner, RowKey, Version};
use crate::credentials::Times;
use crate::scope::ScopeSet;

/// Whether a connection works, as of the provider's last answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// Its tokens can be read.
    Active,
    /// It waits for the host application's confirmation.
    Pending,
    /// The user has to consent again.
    ReauthorizationRequired,
}

impl Status {
    /// As in the table and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::ReauthorizationRequired => "reauthorization_required",
        }
    }

    fn read(text: &str) -> Self {
        match text {
            "active" => Self::Active,
            "pending" => Self::Pending,
            _ => Self::ReauthorizationRequired,
        }
    }
}

/// A row, its token set still sealed.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Id, provider, owner and account.
    pub key: RowKey,
    /// The account's stable id at the provider.
    pub subject: Option<String>,
    /// The client that the tokens were issued to.
    pub client_id: String,
    /// What was granted.
    pub scopes: ScopeSet,
    /// What was asked for.
    pub requested_scopes: ScopeSet,
    /// The provider did not say what it granted.
    pub scopes_assumed: bool,
    /// Whether it works.
    pub status: Status,
    /// Why not.
    pub status_reason: Option<String>,
    /// Since when it has this status.
    pub status_since: DateTime<Utc>,
    /// When the access token ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// Compare-and-swap counter.
    pub version: Version,
    /// First consent.
    pub created_at: DateTime<Utc>,
    /// Last change of any kind.
    pub updated_at: DateTime<Utc>,
    /// When the current access token came, unless it came with consent.
    pub last_refreshed_at: Option<DateTime<Utc>>,
    /// Somebody is refreshing it.
    pub leased: bool,
    /// No refresh before this, after a failure.
    pub retry_at: Option<DateTime<Utc>>,
    /// Why the last refresh failed.
    pub refresh_error: Option<String>,
    /// Refreshes that failed in a row.
    pub refresh_failures: i32,
    /// `token_data`.
    pub sealed: Option<Vec<u8>>,
    /// `pending_token_data`, while it may still be confirmed.
    pub pending: Option<Vec<u8>>,
    /// The database's time when it was read.
    pub now: DateTime<Utc>,
}

impl Connection {
    /// When the access token came and ends.
    pub fn times(&self) -> Times {
        Times {
            expires_at: self.expires_at,
            issued_at: self.last_refreshed_at.unwrap_or(self.status_since),
            now: self.now,
        }
    }

    pub(super) fn read(row: &Row) -> Self {
        let now: DateTime<Utc> = row.get(25);
        let lies_ahead = |column| {
            row.get::<_, Option<DateTime<Utc>>>(column)
                .is_some_and(|at| at > now)
        };
        Self {
            key: RowKey {
                id: ConnectionId(row.get(0)),
                provider: row.get(1),
                owner: Owner {
                    workspace: row.get(2),
                    actor: row.get(3),
                },
                account: row.get(4),
            },
            subject: row.get(5),
            client_id: row.get(6),
            scopes: row.get::<_, Vec<String>>(7).into(),
            requested_scopes: row.get::<_, Vec<String>>(8).into(),
            scopes_assumed: row.get(9),
            status: Status::read(row.get(10)),
            status_reason: row.get(11),
            status_since: row.get(12),
            expires_at: row.get(13),
            version: row.get(14),
            created_at: row.get(15),
            updated_at: row.get(16),
            last_refreshed_at: row.get(17),
            retry_at: row.get(18),
            refresh_error: row.get(19),
            refresh_failures: row.get(20),
            sealed: row.get(21),
            pending: row.get::<_, Option<_>>(22).filter(|_| lies_ahead(23)),
            leased: lies_ahead(24),
            now,
        }
    }

    /// The connections of these rows of [`find_sql`], sorted by account.
    pub(super) fn found(rows: &[Row]) -> Vec<Self> {
        let mut found: Vec<Self> = rows
            .iter()
            .filter(|row| row.get::<_, Option<Uuid>>(0).is_some())
            .map(Self::read)
            .filter(|connection| !connection.is_forgotten())
            .collect();
        found.sort_by(|a, b| a.key.account.cmp(&b.key.account));
        found
    }

    /// Nobody confirmed it in time: as good as deleted.
    fn is_forgotten(&self) -> bool {
        self.status == Status::Pending && self.pending.is_none()
    }
}

/// What [`Connection::read`] reads, in its order. Plain columns: every function and operator
/// more is one that a new server process has to look up, while somebody waits.
pub(super) const COLUMNS: &str = "id, provider, workspace_id, actor_id, account, subject, client_id, scopes, \
    requested_scopes, scopes_assumed, status, status_reason, status_since, expires_at, version, \
    created_at, updated_at, last_refreshed_at, retry_at, refresh_error, refresh_failures, \
    token_data, pending_token_data, pending_until, lease_until, now()";

/// Leaves out what was never confirmed in time.
const NOT_FORGOTTEN: &str = "(status <> 'pending' or pending_until > now())";

/// The most accounts of one actor at one provider that a question without an account considers.
const ACCOUNTS: usize = 20;

/// The statement behind [`find`] with an account or without; public so that a benchmark can
/// run the very same.
pub fn find_sql(account: bool) -> String {
    let account = match account {
        true => "and (account = $4 or subject = $4)",
        false => "",
    };
    format!(
        "select {COLUMNS} from oauth_tokens
          where provider = $1 and workspace_id = $2 and actor_id = $3 {account}
          limit {ACCOUNTS}"
    )
}

/// An actor's connections at one provider, sorted by account; with `account`, the one of
/// that name or id.
pub async fn find(
    store: &Store,
    provider: &str,
    owner: &Owner,
    account: Option<&str>,
) -> Result<Vec<Connection>, StoreError> {
    static ANY: LazyLock<String> = LazyLock::new(|| find_sql(false));
    static ONE: LazyLock<String> = LazyLock::new(|| find_sql(true));
    let mut params: Vec<(&(dyn ToSql + Sync), Type)> = vec![
        (&provider, Type::TEXT),
        (&owner.workspace, Type::TEXT),
        (&owner.actor, Type::TEXT),
    ];
    let sql = match &account {
        None => &ANY,
        Some(account) => {
            params.push((account, Type::TEXT));
            &ONE
        }
    };
    let rows = store.read(sql, &params).await?;
    Ok(Connection::found(&rows))
}

/// One connection, if it is there.
pub async fn find_by_id(store: &Store, id: ConnectionId) -> Result<Option<Connection>, StoreError> {
    let rows = store
        .read(
            &format!("select {COLUMNS} from oauth_tokens where id = $1"),
            &[(&id.0, Type::UUID)],
        )
        .await?;
    let found = rows.first().map(Connection::read);
    Ok(found.filter(|connection| !connection.is_forgotten()))
}

/// What a scope check has to know of a connection.
pub struct Granted {
    /// Its provider's name.
    pub provider: String,
    /// Whether it works.
    pub status: Status,
    /// What was granted.
    pub scopes: ScopeSet,
}

/// What one actor granted, oldest first; a hundred connections at the most.
pub async fn granted(store: &Store, owner: &Owner) -> Result<Vec<Granted>, StoreError> {
    let rows = store
        .read(
            "select provider, status, scopes, pending_until, now() from oauth_tokens
              where workspace_id = $1 and actor_id = $2 order by created_at limit 100",
            &[(&owner.workspace, Type::TEXT), (&owner.actor, Type::TEXT)],
        )
        .await?;
    let read = |row: &Row| {
        let status = Status::read(row.get(1));
        let (until, now): (Option<DateTime<Utc>>, DateTime<Utc>) = (row.get(3), row.get(4));
        let forgotten = status == Status::Pending && until.is_none_or(|until| until <= now);
        (!forgotten).then(|| Granted {
            provider: row.get(0),
            status,
            scopes: row.get::<_, Vec<String>>(2).into(),
        })
    };
    Ok(rows.iter().filter_map(read).collect())
}

/// A workspace's connections, oldest first, `limit` at the most; of all actors
/// unless one is named.
pub async fn list(
    store: &Store,
    workspace: &str,
    actor: Option<&str>,
    provider: Option<&str>,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Connection>, StoreError> {
    let (created_at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    let rows = store
        .read(
            &format!(
                "select {COLUMNS} from oauth_tokens
                  where workspace_id = $1 and ($2::text is null or actor_id = $2)
                    and ($3::text is null or provider = $3)
                    and ($4::timestamptz is null or (created_at, id) > ($4, $5))
                    and {NOT_FORGOTTEN}
                  order by created_at, id limit $6"
            ),
            &[
                (&workspace, Type::TEXT),
                (&actor, Type::TEXT),
                (&provider, Type::TEXT),
                (&created_at, Type::TIMESTAMPTZ),
                (&id, Type::UUID),
                (&limit, Type::INT8),
            ],
        )
        .await?;
    Ok(rows.iter().map(Connection::read).collect())
}

/// Who granted what is to be revoked, and to whom.
pub struct Grantor<'a> {
    /// The connection, which may be gone.
    pub key: &'a RowKey,
    /// The account's stable id.
    pub subject: Option<&'a str>,
    /// The client, whose project is the id up to its first `-`.
    pub client_id: &'a str,
}

/// Whether a revocation that ends every grant of the same project and account would end
/// another live connection. Not every connection knows the account's stable id, so the same
/// name counts too.
pub async fn shares_grant(store: &Store, grantor: &Grantor<'_>) -> Result<bool, StoreError> {
    let project = grantor.client_id.split('-').next().unwrap_or_default();
    let pattern = format!("{}-%", project.replace(['%', '_', '\\'], ""));
    store
        .read(
            "select 1 from oauth_tokens
              where id <> $1 and status <> 'reauthorization_required'
                and (client_id like $2 or client_id = $3)
                and (subject = $4 or account = $5)
              limit 1",
            &[
                (&grantor.key.id.0, Type::UUID),
                (&pattern, Type::TEXT),
                (&grantor.client_id, Type::TEXT),
                (&grantor.subject, Type::TEXT),
                (&grantor.key.account, Type::TEXT),
            ],
        )
        .await
        .map(|rows| !rows.is_empty())
}

/// How many connections have each status, and the oldest time since when a refresh fails;
/// of one workspace, or of all.
pub async fn summary(
    store: &Store,
    workspace: Option<&str>,
) -> Result<(Vec<(String, i64)>, Option<DateTime<Utc>>), StoreError> {
    let rows = store
        .read(
            &format!(
                "select status, count(*), min(refresh_failing_since) from oauth_tokens
                  where ($1::text is null or workspace_id = $1) and {NOT_FORGOTTEN}
                  group by status order by status"
            ),
            &[(&workspace, Type::TEXT)],
        )
        .await?;
    let counts = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let oldest = rows
        .iter()
        .filter_map(|row| row.get::<_, Option<DateTime<Utc>>>(2))
        .min();
    Ok((counts, oldest))
}
