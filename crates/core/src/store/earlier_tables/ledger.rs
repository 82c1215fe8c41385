//! Which rows of earlier tables were imported, and as which connection: an import that was
//! stopped goes on where it was, and imports each row once.

use tokio_postgres::types::Type;

use crate::store::{Store, StoreError};

/// Makes the ledger. It is no migration: only who imports tables needs it.
pub async fn create(store: &Store) -> Result<(), StoreError> {
    store
        .batch(
            "create table if not exists grantkeep_table_imports (
                 source        text        not null,
                 source_key    text        not null,
                 connection_id uuid        not null,
                 imported_at   timestamptz not null default now(),
                 primary key (source, source_key))",
        )
        .await
}

/// Which of these rows were imported.
pub async fn imported(
    store: &Store,
    source: &str,
    keys: &[&str],
) -> Result<Vec<String>, StoreError> {
    let rows = store
        .read(
            "select source_key from grantkeep_table_imports
              where source = $1 and source_key = any($2)",
            &[(&source, Type::TEXT), (&keys, Type::TEXT_ARRAY)],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Connections that no table import made, and those of table imports that were refreshed or
/// consented to since.
pub async fn newer(store: &Store) -> Result<(u64, u64), StoreError> {
    let rows = store
        .read(
            "select count(*) filter (where l.connection_id is null),
                    count(*) filter (where l.connection_id is not null and o.version > 1)
               from oauth_tokens o
               left join (select distinct connection_id from grantkeep_table_imports) l
                      on l.connection_id = o.id",
            &[],
        )
        .await?;
    Ok(rows.first().map_or((0, 0), |row| {
        let (other, changed): (i64, i64) = (row.get(0), row.get(1));
        (other.unsigned_abs(), changed.unsigned_abs())
    }))
}
