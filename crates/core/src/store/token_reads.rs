//! `token_reads`: who asked for which token, and what came of it, where `AUDIT_READS=table`
//! asks for it. The row is written by the statement that reads the token set, so that it
//! costs no round trip and no token leaves without it.

use std::sync::LazyLock;

use tokio_postgres::types::Type;

use super::oauth_tokens::{Connection, find_sql};
use super::{Store, StoreError};
use crate::connection::{ConnectionId, Owner, Version};
use crate::scope::ScopeSet;

/// Result of a read that handed a token out.
pub const ISSUED: &str = "issued";

/// A read, as an auditor wants to know it.
pub struct Reading<'a> {
    /// Name of the service key that asks.
    pub service_key: &'a str,
    /// The provider's name.
    pub provider: &'a str,
    /// Whose connection.
    pub owner: &'a Owner,
    /// As asked for.
    pub account: Option<&'a str>,
    /// What the token has to be good for.
    pub scopes: &'a ScopeSet,
}

/// A row that was written, as far as the table alone could tell.
#[derive(Clone, Debug)]
pub struct Noted {
    id: i64,
    /// [`ISSUED`], or a problem's code.
    pub result: String,
    /// Of the connection, if it was one.
    pub version: Option<Version>,
}

/// What [`super::oauth_tokens::find`] finds, and the row that says so. The row tells what
/// the table alone can tell: `issued` stands until [`correct`] knows better.
pub async fn find(
    store: &Store,
    reading: &Reading<'_>,
) -> Result<(Vec<Connection>, Noted), StoreError> {
    static ANY: LazyLock<String> = LazyLock::new(|| sql(false));
    static ONE: LazyLock<String> = LazyLock::new(|| sql(true));
    let sql = match reading.account {
        None => &ANY,
        Some(_) => &ONE,
    };
    let rows = store
        .write(
            sql,
            &[
                (&reading.provider, Type::TEXT),
                (&reading.owner.workspace, Type::TEXT),
                (&reading.owner.actor, Type::TEXT),
                (&reading.account, Type::TEXT),
                (&reading.service_key, Type::TEXT),
                (&asked(reading.scopes), Type::TEXT),
            ],
        )
        .await?;
    let Some(first) = rows.first() else {
        return Err(StoreError::Schema(
            "the audit row was not written".to_owned(),
        ));
    };
    let noted = Noted {
        id: first.get("read_id"),
        result: first.get("read_result"),
        version: first.get("read_version"),
    };
    Ok((Connection::found(&rows), noted))
}

fn sql(account: bool) -> String {
    format!(
        "with found as materialized ({}),
         live as (
             select count(*) as count, min(id::text)::uuid as id, min(account) as account,
                    min(version) as version, min(status) as status
               from found where status <> 'pending'),
         noted as (
             insert into token_reads
                    (service_key, provider, workspace_id, actor_id, scope, connection_id,
                     account, version, result)
             select $5, $1, $2, $3, $6, case when count = 1 then id end,
                    case when count = 1 then account else $4 end,
                    case when count = 1 then version end,
                    case when count = 0 then 'not_connected'
                         when count > 1 then 'ambiguous_account'
                         when status = 'active' then '{ISSUED}'
                         else status end
               from live
          returning id as read_id, result as read_result, version as read_version)
         select found.*, noted.* from noted left join found on true",
        find_sql(account)
    )
}

/// Records a read that was refused before anything was looked up.
pub async fn refuse(
    store: &Store,
    service_key: &str,
    provider: &str,
    owner: &Owner,
    result: &str,
) -> Result<(), StoreError> {
    store
        .write(
            "insert into token_reads (service_key, provider, workspace_id, actor_id, result)
             values ($1, $2, $3, $4, $5)",
            &[
                (&service_key, Type::TEXT),
                (&provider, Type::TEXT),
                (&owner.workspace, Type::TEXT),
                (&owner.actor, Type::TEXT),
                (&result, Type::TEXT),
            ],
        )
        .await
        .map(drop)
}

/// Puts right what a read came to: another result, or the token set that a refresh brought.
pub async fn correct(
    store: &Store,
    noted: &Noted,
    result: &str,
    issued: Option<(ConnectionId, Version)>,
) -> Result<(), StoreError> {
    let (connection, version) = issued.map(|(id, version)| (id.0, version)).unzip();
    store
        .write(
            "update token_reads
                set result = $2, connection_id = coalesce($3, connection_id),
                    version = coalesce($4, version)
              where id = $1",
            &[
                (&noted.id, Type::INT8),
                (&result, Type::TEXT),
                (&connection, Type::UUID),
                (&version, Type::INT8),
            ],
        )
        .await
        .map(drop)
}

fn asked(scopes: &ScopeSet) -> Option<String> {
    (!scopes.is_empty()).then(|| scopes.join(" "))
}
