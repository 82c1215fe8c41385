//! The store's own functions, in the few words that these tests need.

use grantkeep_core::connection::RowKey;
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::store::oauth_tokens::lease::{self, Refreshed};
use grantkeep_core::store::oauth_tokens::write::{self, Granted};
use grantkeep_core::store::{DatabaseUrl, Store};
use uuid::Uuid;

/// Seconds that outlive any test.
pub const LASTS: f64 = 3600.0;
/// Seconds that are over at once.
pub const IS_OVER: f64 = -1.0;

/// Repeatable randomness (xorshift64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    pub fn often(&mut self) -> bool {
        self.below(4) > 0
    }

    pub fn seldom(&mut self) -> bool {
        self.below(4) == 0
    }

    pub fn id(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.below(u64::MAX), self.below(u64::MAX))
    }
}

/// An instance's pool.
pub fn store(url: &str) -> Store {
    let url = DatabaseUrl::parse(url, None).unwrap_or_else(|error| panic!("{error}"));
    Store::new(&url).unwrap_or_else(|error| panic!("{error}"))
}

/// Makes `token` the row's token set, as after consent.
pub async fn grant(store: &Store, key: &RowKey, token: &[u8]) -> bool {
    let none = ScopeSet::default();
    let granted = Granted {
        key,
        subject: None,
        client_id: "client",
        scopes: &none,
        requested_scopes: &none,
        missing_scopes: &none,
        scopes_assumed: false,
        expires_in: Some(IS_OVER),
        refresh_expires_in: None,
        sealed: token,
        key_id: "00000000".to_owned(),
        warning: None,
    };
    write::save_granted(store, &granted)
        .await
        .expect("a statement")
}

/// Stores `token` as refreshed from version `seen`; the new version.
pub async fn save(store: &Store, key: &RowKey, seen: i64, token: &[u8]) -> Option<i64> {
    let refreshed = Refreshed {
        sealed: token,
        key_id: "00000000".to_owned(),
        scopes: None,
        expires_in: Some(LASTS),
        refresh_expires_in: None,
    };
    lease::save_refreshed(store, key, seen, &refreshed)
        .await
        .expect("a statement")
        .map(|saved| saved.version)
}
