//! Putting everything that is sealed under the primary key, so that older keys can go. Reads
//! and refreshes go on meanwhile: all keys open, and nothing is overwritten that changed.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::app::App;
use crate::cipher::{OpenError, Place};
use crate::connection::{Column, ConnectionId};
use crate::store::oauth_tokens::keys::{self, Aged, Resealed};
use crate::store::{StoreError, pending_revocations};

/// What one batch came to.
#[derive(Debug, Default)]
pub struct Batch {
    /// Rows that hold something under another key.
    pub seen: usize,
    /// Token sets that are under the primary key now; in a dry run, that could be.
    pub resealed: usize,
    /// Token sets that somebody changed meanwhile; another pass looks at them again.
    pub overtaken: usize,
    /// Rows that hold something that does not open.
    pub unreadable: Vec<(ConnectionId, OpenError)>,
    /// Where the next batch begins; `None` when this was the last one.
    pub next: Option<Uuid>,
}

/// Seals the next `limit` connections behind `after` anew. Each batch stands for itself: it can
/// be stopped at any moment, and begun again from the start. A dry run opens everything and
/// writes nothing.
pub async fn connections(
    app: &App,
    after: Uuid,
    limit: i64,
    dry_run: bool,
) -> Result<Batch, StoreError> {
    let primary = app.settings.keys.primary_id().to_string();
    let rows = keys::list_aged(&app.store, &primary, after, limit).await?;
    let mut batch = Batch {
        seen: rows.len(),
        next: rows
            .last()
            .filter(|_| rows.len() as i64 == limit)
            .map(|row| row.key.id.0),
        ..Batch::default()
    };
    let mut resealed = Vec::new();
    for row in &rows {
        match reseal(app, row) {
            Ok(Again { sealed, pending }) => {
                resealed.extend(sealed);
                let Some(pending) = pending else { continue };
                let done = dry_run || replace_pending(app, row, &pending).await?;
                *(if done {
                    &mut batch.resealed
                } else {
                    &mut batch.overtaken
                }) += 1;
            }
            Err(error) => batch.unreadable.push((row.key.id, error)),
        }
    }
    let replaced = match dry_run || resealed.is_empty() {
        true => resealed.len(),
        false => keys::replace(&app.store, &primary, &resealed).await?,
    };
    batch.resealed += replaced;
    batch.overtaken += resealed.len() - replaced;
    Ok(batch)
}

/// The same for the tokens of connections that are gone and still have to be revoked. Nobody
/// changes them: one that is no longer there was revoked.
pub async fn revocations(
    app: &App,
    after: Uuid,
    limit: i64,
    dry_run: bool,
) -> Result<Batch, StoreError> {
    let ring = &app.settings.keys;
    let primary = ring.primary_id().to_string();
    let rows = pending_revocations::list_aged(&app.store, &primary, after, limit).await?;
    let full = rows.len() as i64 == limit;
    let mut batch = Batch {
        seen: rows.len(),
        next: rows.last().filter(|_| full).map(|(key, _)| key.id.0),
        ..Batch::default()
    };
    for (key, sealed) in &rows {
        let place = key.place(Column::PendingRevocation);
        match ring.open(sealed, &place) {
            Ok(plaintext) if !dry_run => {
                let sealed = ring.seal(&plaintext, &place, app.fill);
                let replaced =
                    pending_revocations::replace(&app.store, key.id, &sealed, &primary).await?;
                batch.resealed += usize::from(replaced);
            }
            Ok(_) => batch.resealed += 1,
            Err(error) => batch.unreadable.push((key.id, error)),
        }
    }
    Ok(batch)
}

/// How many tokens are sealed under each key, whatever they are for.
pub async fn used_keys(app: &App) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut used = BTreeMap::new();
    let connections = keys::count(&app.store).await?;
    let revocations = pending_revocations::count_by_key(&app.store).await?;
    for (id, count) in connections.into_iter().chain(revocations) {
        *used.entry(id).or_default() += count;
    }
    Ok(used)
}

/// Keys that tokens are sealed under and that are not configured, with how many: nobody can
/// read those.
pub async fn unknown_keys(app: &App) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut used = used_keys(app).await?;
    for known in app.settings.keys.ids() {
        used.remove(&known.to_string());
    }
    Ok(used)
}

struct Again {
    sealed: Option<Resealed>,
    pending: Option<Vec<u8>>,
}

fn reseal(app: &App, row: &Aged) -> Result<Again, OpenError> {
    let again = |sealed: &Option<Vec<u8>>, column| {
        let place: Place = row.key.place(column);
        let keys = &app.settings.keys;
        let open = |sealed: &Vec<u8>| keys.open(sealed, &place);
        let plaintext = sealed.as_ref().map(open).transpose()?;
        Ok(plaintext.map(|plaintext| keys.seal(&plaintext, &place, app.fill)))
    };
    Ok(Again {
        sealed: again(&row.sealed, Column::TokenData)?.map(|sealed| Resealed {
            id: row.key.id,
            version: row.version,
            sealed,
        }),
        pending: again(&row.pending, Column::PendingTokenData)?,
    })
}

async fn replace_pending(app: &App, row: &Aged, after: &[u8]) -> Result<bool, StoreError> {
    let before = row.pending.as_deref().unwrap_or_default();
    keys::replace_pending(&app.store, row.key.id, before, after).await
}
