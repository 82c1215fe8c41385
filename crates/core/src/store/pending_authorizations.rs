//! `pending_authorizations`: begun authorizations, each usable by one callback.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError};

/// Records a begun authorization for `seconds`, and forgets those that ran out. Recording
/// it twice, when the answer got lost, is the same as once.
pub async fn insert(
    store: &Store,
    id: Uuid,
    state_hash: &[u8],
    seconds: f64,
) -> Result<(), StoreError> {
    store
        .write(
            "with expired as (
                 delete from pending_authorizations
                  where id in (select id from pending_authorizations
                                where expires_at < now() limit 100 for update skip locked))
             insert into pending_authorizations (id, state_hash, expires_at)
             values ($1, $2, now() + make_interval(secs => $3))
             on conflict (id) do nothing",
            &[
                (&id, Type::UUID),
                (&state_hash, Type::BYTEA),
                (&seconds, Type::FLOAT8),
            ],
        )
        .await
        .map(drop)
}

/// Uses an authorization up; `false` when it is unknown, has run out or was used
/// before. One statement, so of two callbacks at once one gets it.
pub async fn consume(store: &Store, id: Uuid, state_hash: &[u8]) -> Result<bool, StoreError> {
    store
        .write(
            "delete from pending_authorizations
              where id = $1 and state_hash = $2 and expires_at > now()
          returning id",
            &[(&id, Type::UUID), (&state_hash, Type::BYTEA)],
        )
        .await
        .map(|rows| !rows.is_empty())
}
