//! Token tables of earlier systems: what columns they have, and their rows as JSON, page
//! by page. Moving them out of the way is in [`adoption`], what was imported in [`ledger`].

pub mod adoption;
pub mod ledger;

use serde_json::Value;
use tokio_postgres::types::Type;

use super::{Store, StoreError};

/// A table of somebody else's.
#[derive(Clone, Debug)]
pub struct EarlierTable {
    /// Its schema.
    pub schema: String,
    /// Its name, as it is now.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The columns that name a row, with their types; empty where no index is unique.
    key: Vec<(String, String)>,
    /// A table of users that `user_id` refers to, for their addresses.
    users: Option<String>,
}

/// One row.
#[derive(Clone, Debug)]
pub struct EarlierRow {
    /// Where the next page goes on.
    pub mark: Vec<String>,
    /// Names the row, for people and for the ledger.
    pub key: String,
    /// Its columns, and `email` where it belongs to a user who has one.
    pub row: Value,
}

impl EarlierTable {
    /// Whether its rows can be told apart: without that they cannot be read page by page.
    pub fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// Whether it is the table of this project.
    pub fn is_ours(&self) -> bool {
        let has = |name: &str| self.columns.iter().any(|column| column == name);
        has("pending_token_data") && has("lease_until") && has("key_id")
    }

    /// `schema.name`, as SQL.
    pub fn sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

/// An identifier as SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The table of this name, as the database resolves it; `None` when there is none.
pub async fn find(store: &Store, name: &str) -> Result<Option<EarlierTable>, StoreError> {
    let rows = store
        .read(
            "select n.nspname::text, c.relname::text,
                    array(select a.attname::text from pg_attribute a
                           where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                           order by a.attnum),
                    array(select a.attname::text from unnest(i.indkey) with ordinality k (att, place)
                            join pg_attribute a on a.attrelid = c.oid and a.attnum = k.att
                           order by k.place),
                    array(select format_type(a.atttypid, a.atttypmod)
                            from unnest(i.indkey) with ordinality k (att, place)
                            join pg_attribute a on a.attrelid = c.oid and a.attnum = k.att
                           order by k.place)
               from pg_class c
               join pg_namespace n on n.oid = c.relnamespace
               left join lateral (
                    select x.indkey from pg_index x
                     where x.indrelid = c.oid and x.indisunique and x.indpred is null
                       and x.indexprs is null
                       and not exists (select 1 from pg_attribute a
                                        where a.attrelid = c.oid and a.attnum = any(x.indkey)
                                          and not a.attnotnull)
                     order by x.indisprimary desc, x.indexrelid limit 1) i on true
              where c.oid = to_regclass($1::text) and c.relkind in ('r', 'p')",
            &[(&name, Type::TEXT)],
        )
        .await?;
    Ok(rows.first().map(|row| EarlierTable {
        schema: row.get(0),
        name: row.get(1),
        columns: row.get(2),
        key: row
            .get::<_, Vec<String>>(3)
            .into_iter()
            .zip(row.get::<_, Vec<String>>(4))
            .collect(),
        users: None,
    }))
}

/// The same table, its rows joined to `users` where it refers to them and they have an
/// `email`.
pub async fn with_users(
    store: &Store,
    mut table: EarlierTable,
    users: &str,
) -> Result<EarlierTable, StoreError> {
    let has = |columns: &[String], name: &str| columns.iter().any(|column| column == name);
    if has(&table.columns, "user_id")
        && !has(&table.columns, "email")
        && let Some(found) = find(store, users).await?
        && has(&found.columns, "id")
        && has(&found.columns, "email")
    {
        table.users = Some(found.sql());
    }
    Ok(table)
}

/// How many rows it has.
pub async fn count(store: &Store, table: &EarlierTable) -> Result<u64, StoreError> {
    let sql = format!("select count(*) from {}", table.sql());
    let rows = store.read(&sql, &[]).await?;
    let count: i64 = rows.first().map_or(0, |row| row.get(0));
    Ok(count.unsigned_abs())
}

/// At most `limit` rows, the last first: where a table has two rows for one connection, the
/// newer one has the greater number.
pub async fn page(
    store: &Store,
    table: &EarlierTable,
    after: Option<&[String]>,
    limit: i64,
) -> Result<Vec<EarlierRow>, StoreError> {
    let columns: Vec<String> = table
        .key
        .iter()
        .map(|(name, _)| format!("t.{}", quoted(name)))
        .collect();
    let marks: Vec<String> = table
        .key
        .iter()
        .enumerate()
        .map(|(index, (_, kind))| format!("($1::text[])[{}]::{kind}", index + 1))
        .collect();
    let texts: Vec<String> = columns.iter().map(|name| format!("{name}::text")).collect();
    let order: Vec<String> = columns.iter().map(|name| format!("{name} desc")).collect();
    let (email, join) = match &table.users {
        None => ("", String::new()),
        Some(users) => (
            " || jsonb_build_object('email', u.email)",
            format!(" left join {users} u on u.id = t.user_id"),
        ),
    };
    let sql = format!(
        "select array[{texts}], to_jsonb(t){email} from {table} t{join}
          where ($1::text[] is null or ({columns}) < ({marks}))
          order by {order} limit $2",
        texts = texts.join(", "),
        table = table.sql(),
        columns = columns.join(", "),
        marks = marks.join(", "),
        order = order.join(", "),
    );
    let rows = store
        .read(&sql, &[(&after, Type::TEXT_ARRAY), (&limit, Type::INT8)])
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let mark: Vec<String> = row.get(0);
            EarlierRow {
                key: mark.join("/"),
                mark,
                row: row.get(1),
            }
        })
        .collect())
}
