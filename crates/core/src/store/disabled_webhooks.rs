//! `disabled_webhooks`: endpoints that answered 410 Gone, by the hash of their address.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;

use super::{Store, StoreError};

/// Records that an endpoint wants nothing more; whether it was not known yet.
pub async fn insert(store: &Store, url_hash: &[u8]) -> Result<bool, StoreError> {
    store
        .write(
            "insert into disabled_webhooks (url_hash) values ($1)
                 on conflict do nothing returning url_hash",
            &[(&url_hash, Type::BYTEA)],
        )
        .await
        .map(|rows| !rows.is_empty())
}

/// Since when an endpoint is not called any more; `None` while it is.
pub async fn since(store: &Store, url_hash: &[u8]) -> Result<Option<DateTime<Utc>>, StoreError> {
    let rows = store
        .read(
            "select disabled_at from disabled_webhooks where url_hash = $1",
            &[(&url_hash, Type::BYTEA)],
        )
        .await?;
    Ok(rows.first().map(|row| row.get(0)))
}
