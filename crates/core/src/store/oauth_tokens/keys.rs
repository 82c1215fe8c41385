//! Which keys the rows of `oauth_tokens` are sealed under, and sealing them anew. A row's
//! `version` stays: nothing about its token set changes, so a refresh that is under way
//! still saves over it.

use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::connection::{ConnectionId, Owner, RowKey, Version};
use crate::store::{Store, StoreError};

/// The key id in a sealed value's header, as [`crate::cipher`] lays it out.
const PENDING_KEY: &str = "encode(substring(pending_token_data from 2 for 4), 'hex')";

/// A row with something that is sealed under another key than the primary one.
#[derive(Clone, Debug)]
pub struct Aged {
    /// What its ciphertexts are bound to.
    pub key: RowKey,
    /// As it was read.
    pub version: Version,
    /// `token_data`, if that is it.
    pub sealed: Option<Vec<u8>>,
    /// `pending_token_data`, if that is it and can still be confirmed.
    pub pending: Option<Vec<u8>>,
}

/// At most `limit` rows behind `after`, by id, that hold what is not sealed under `primary`.
pub async fn list_aged(
    store: &Store,
    primary: &str,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Aged>, StoreError> {
    let pending_aged = format!("(pending_until > now() and {PENDING_KEY} <> $1)");
    let rows = store
        .read(
            &format!(
                "select id, provider, workspace_id, actor_id, account, version,
                        case when key_id <> $1 then token_data end,
                        case when {pending_aged} then pending_token_data end
                   from oauth_tokens
                  where id > $2 and (key_id <> $1 or {pending_aged})
                  order by id limit $3"
            ),
            &[
                (&primary, Type::TEXT),
                (&after, Type::UUID),
                (&limit, Type::INT8),
            ],
        )
        .await?;
    let read = |row: &tokio_postgres::Row| Aged {
        key: RowKey {
            id: ConnectionId(row.get(0)),
            provider: row.get(1),
            owner: Owner {
                workspace: row.get(2),
                actor: row.get(3),
            },
            account: row.get(4),
        },
        version: row.get(5),
        sealed: row.get(6),
        pending: row.get(7),
    };
    Ok(rows.iter().map(read).collect())
}

/// A token set that was sealed anew for its row.
pub struct Resealed {
    /// Whose.
    pub id: ConnectionId,
    /// The version whose token set it is.
    pub version: Version,
    /// The ciphertext.
    pub sealed: Vec<u8>,
}

/// Puts `token_data` under another key, where the row still has the version that was opened;
/// how many did. Rows that somebody is writing to this moment are left for the next pass: a
/// refresh seals under the primary key anyway.
pub async fn replace(
    store: &Store,
    primary: &str,
    resealed: &[Resealed],
) -> Result<usize, StoreError> {
    let ids: Vec<Uuid> = resealed.iter().map(|one| one.id.0).collect();
    let versions: Vec<Version> = resealed.iter().map(|one| one.version).collect();
    let sealed: Vec<&[u8]> = resealed.iter().map(|one| one.sealed.as_slice()).collect();
    let rows = store
        .write(
            "with held as (
                 select row.id, new.sealed
                   from unnest($1::uuid[], $2::int8[], $3::bytea[]) as new (id, version, sealed)
                   join oauth_tokens row using (id)
                  where row.version = new.version and row.key_id <> $4
                  order by row.id
                    for update of row skip locked)
             update oauth_tokens row set token_data = held.sealed, key_id = $4
               from held where row.id = held.id
          returning row.id",
            &[
                (&ids, Type::UUID_ARRAY),
                (&versions, Type::INT8_ARRAY),
                (&sealed, Type::BYTEA_ARRAY),
                (&primary, Type::TEXT),
            ],
        )
        .await?;
    Ok(rows.len())
}

/// Puts one `pending_token_data` under another key, if it still is the one that was opened.
pub async fn replace_pending(
    store: &Store,
    id: ConnectionId,
    before: &[u8],
    after: &[u8],
) -> Result<bool, StoreError> {
    let rows = store
        .write(
            "update oauth_tokens set pending_token_data = $3
              where id = $1 and pending_token_data = $2
          returning id",
            &[
                (&id.0, Type::UUID),
                (&before, Type::BYTEA),
                (&after, Type::BYTEA),
            ],
        )
        .await?;
    Ok(!rows.is_empty())
}

/// How many token sets are sealed under each key, those that wait for confirmation included.
pub async fn count(store: &Store) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = store
        .read(
            &format!(
                "select key_id, count(*) from (
                     select key_id from oauth_tokens where key_id is not null
                     union all
                     select {PENDING_KEY} from oauth_tokens where pending_until > now()) used
                  group by key_id order by key_id"
            ),
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
