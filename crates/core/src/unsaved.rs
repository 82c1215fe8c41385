//! Refreshed token sets that the database did not take. The provider may have ended the
//! old ones, so they are kept, sealed, and written first thing at the next invocation.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::connection::{ConnectionId, Version};
use crate::scope::ScopeSet;
use crate::store::oauth_tokens::Connection;
use crate::store::oauth_tokens::lease::{self, Refreshed, Saved};
use crate::store::{Store, StoreError};

/// A token set that waits to be written.
#[derive(Clone)]
pub struct Kept {
    /// The row as it was read before the refresh.
    pub connection: Connection,
    /// The new `token_data`.
    pub sealed: Vec<u8>,
    /// Under which key.
    pub key_id: String,
    /// What the provider says is granted now.
    pub scopes: Option<ScopeSet>,
    /// When the new access token ends, by this instance's clock.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the new refresh token ends.
    pub refresh_expires_at: Option<DateTime<Utc>>,
}

impl Kept {
    /// The row as it should be: with the new token set.
    pub fn as_connection(&self, now: DateTime<Utc>) -> Connection {
        let mut connection = self.connection.clone();
        connection.sealed = Some(self.sealed.clone());
        connection.expires_at = self.expires_at;
        connection.last_refreshed_at = Some(now);
        connection.now = now;
        if let Some(scopes) = &self.scopes {
            connection.scopes = scopes.clone();
        }
        connection
    }

    /// Writes it over the version that was read before the refresh; `None` when the row
    /// has another one by now, or is gone.
    pub async fn save(
        &self,
        store: &Store,
        now: DateTime<Utc>,
    ) -> Result<Option<Saved>, StoreError> {
        let left = |at: Option<DateTime<Utc>>| at.map(|at| (at - now).as_seconds_f64());
        let refreshed = Refreshed {
            sealed: &self.sealed,
            key_id: self.key_id.clone(),
            scopes: self.scopes.as_ref(),
            expires_in: left(self.expires_at),
            refresh_expires_in: left(self.refresh_expires_at),
        };
        let (key, seen) = (&self.connection.key, self.connection.version);
        lease::save_refreshed(store, key, seen, &refreshed).await
    }
}

/// What one instance could not write, by connection.
#[derive(Default)]
pub struct Unsaved(Mutex<HashMap<ConnectionId, Kept>>);

impl Unsaved {
    /// Keeps a token set.
    pub fn keep(&self, kept: Kept) {
        self.lock().insert(kept.connection.key.id, kept);
    }

    /// What is kept for a row of this id and version: newer than what the row holds.
    pub fn newer_than(&self, id: ConnectionId, version: Version) -> Option<Kept> {
        self.lock()
            .get(&id)
            .filter(|kept| kept.connection.version == version)
            .cloned()
    }

    /// Whatever fits, for when the database cannot be asked.
    pub fn find(&self, fits: impl Fn(&Connection) -> bool) -> Option<Kept> {
        self.lock()
            .values()
            .find(|kept| fits(&kept.connection))
            .cloned()
    }

    /// Writes what is kept. What the database still does not take stays; what was
    /// overtaken by another version is dropped.
    pub async fn flush(&self, store: &Store, now: DateTime<Utc>) {
        let waiting: Vec<Kept> = self.lock().values().cloned().collect();
        for kept in waiting {
            if kept.save(store, now).await.is_ok() {
                // Unless another refresh has left a newer one meanwhile.
                let version = kept.connection.version;
                self.lock().retain(|id, waiting| {
                    *id != kept.connection.key.id || waiting.connection.version != version
                });
            }
        }
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ConnectionId, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
