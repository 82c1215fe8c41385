//! `completed_links`: connect links that did their work and do no more.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError};

/// Whether a link was completed before.
pub async fn is_completed(store: &Store, id: Uuid) -> Result<bool, StoreError> {
    store
        .read(
            "select 1 from completed_links where id = $1",
            &[(&id, Type::UUID)],
        )
        .await
        .map(|rows| !rows.is_empty())
}

/// Marks a link as completed for as long as it would live; `false` when somebody was
/// faster. Forgets links that have run out.
pub async fn complete(store: &Store, id: Uuid, seconds: f64) -> Result<bool, StoreError> {
    store
        .write(
            "with expired as (
                 delete from completed_links
                  where id in (select id from completed_links
                                where expires_at < now() limit 100 for update skip locked))
             insert into completed_links (id, expires_at)
             values ($1, now() + make_interval(secs => $2))
             on conflict (id) do nothing
             returning id",
            &[(&id, Type::UUID), (&seconds, Type::FLOAT8)],
        )
        .await
        .map(|rows| !rows.is_empty())
}
