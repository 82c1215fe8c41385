//! What the cache holds of a connection: enough to answer a token read, without the refresh
//! token, sealed for its own key in Redis.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::cipher::{KeyRing, Place};
use crate::connection::{ConnectionId, Version};
use crate::credentials::{Credentials, Times};
use crate::scope::ScopeSet;
use crate::secret::AccessToken;
use crate::store::oauth_tokens::Connection;

/// A connection's access token as it was read from the database.
#[derive(Debug)]
pub struct Entry {
    /// The connection.
    pub id: ConnectionId,
    /// What its account is called.
    pub account: String,
    /// What was granted.
    pub scopes: ScopeSet,
    /// Which token set.
    pub version: Version,
    /// The token set without its refresh token.
    pub credentials: Credentials,
    /// As of the database's time of the read.
    pub times: Times,
    /// Redis' time before the read, in milliseconds.
    pub asked_at: i64,
}

/// How it is rest.
#[derive(Serialize)]
struct Written<'a> {
    token: &'a str,
    #[serde(flatten)]
    rest: Rest,
}

/// How it is read.
#[derive(Deserialize)]
struct Read {
    token: AccessToken,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Deserialize, Serialize)]
struct Rest {
    id: Uuid,
    account: String,
    scopes: ScopeSet,
    version: Version,
    lifetime: Option<u64>,
    expires_at: Option<DateTime<Utc>>,
    issued_at: DateTime<Utc>,
    read_at: DateTime<Utc>,
    asked_at: i64,
}

impl Entry {
    /// Of a connection that was just read.
    pub fn of(connection: &Connection, credentials: &Credentials, asked_at: i64) -> Self {
        Self {
            id: connection.key.id,
            account: connection.key.account.clone(),
            scopes: connection.scopes.clone(),
            version: connection.version,
            credentials: Credentials {
                access_token: credentials.access_token.clone(),
                refresh_token: None,
                lifetime: credentials.lifetime,
                metadata: Map::new(),
            },
            times: connection.times(),
            asked_at,
        }
    }

    /// Sealed for the key in Redis that it goes to.
    pub(super) fn seal(&self, name: &str, keys: &KeyRing, fill: fn(&mut [u8])) -> Vec<u8> {
        let rest = Rest {
            id: self.id.0,
            account: self.account.clone(),
            scopes: self.scopes.clone(),
            version: self.version,
            lifetime: self.credentials.lifetime,
            expires_at: self.times.expires_at,
            issued_at: self.times.issued_at,
            read_at: self.times.now,
            asked_at: self.asked_at,
        };
        let token = self.credentials.access_token.expose();
        let written = Written { token, rest };
        let plaintext = Zeroizing::new(serde_json::to_vec(&written).unwrap_or_default());
        keys.seal(&plaintext, &place(name), fill)
    }

    /// What was sealed for this key in Redis; `None` for anything else.
    pub(super) fn open(sealed: &[u8], name: &str, keys: &KeyRing) -> Option<Self> {
        let plaintext = keys.open(sealed, &place(name)).ok()?;
        let Read { token, rest } = serde_json::from_slice(&plaintext).ok()?;
        Some(Self {
            id: ConnectionId(rest.id),
            account: rest.account,
            scopes: rest.scopes,
            version: rest.version,
            credentials: Credentials {
                access_token: token,
                refresh_token: None,
                lifetime: rest.lifetime,
                metadata: Map::new(),
            },
            times: Times {
                expires_at: rest.expires_at,
                issued_at: rest.issued_at,
                now: rest.read_at,
            },
            asked_at: rest.asked_at,
        })
    }

    /// The same with the database's time of now, which is so many milliseconds later.
    pub(super) fn aged(mut self, milliseconds: i64) -> Self {
        self.times.now += TimeDelta::milliseconds(milliseconds);
        self
    }
}

fn place(name: &str) -> Place {
    Place::new("cache.access_token", &[name.as_bytes()])
}
