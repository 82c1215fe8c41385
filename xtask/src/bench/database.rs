//! A throw-away Postgres with the real schema and one active connection in it.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantkeep_core::cipher::KeyRing;
use grantkeep_core::connection::{Column, ConnectionId, Owner, RowKey};
use grantkeep_core::credentials::Credentials;
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::secret::{AccessToken, RefreshToken};
use grantkeep_core::store::oauth_tokens::write::{Granted, save_granted};
use grantkeep_core::store::{DatabaseUrl, Store};
use grantkeep_devpg::Postgres;
use serde_json::Map;

use super::{Error, note};

/// Provider and account of the one connection; workspace and actor are `default`.
pub const PROVIDER: &str = "gmail";
pub const ACCOUNT: &str = "alice@example.test";
/// The account's id at the provider.
pub const SUBJECT: &str = "100000000000000000001";

/// The server, and the key that its connection is sealed under.
pub struct Database {
    pub postgres: Postgres,
    pub encryption_key: String,
}

impl Database {
    /// Starts Postgres, creates the schema by the first write, and saves a connection
    /// whose token is good for a day.
    pub fn start() -> Result<Self, Error> {
        let postgres = Postgres::builder()
            .setting("max_connections", "100")
            .start(&mut |line| note(line))?;
        let mut key = [0; 32];
        rand::fill(&mut key)?;
        let database = Self {
            postgres,
            encryption_key: STANDARD.encode(key),
        };
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(database.seed())?;
        Ok(database)
    }

    /// Plain text, as the references connect: what TLS costs is not ours to measure.
    pub fn url(&self) -> String {
        format!("{}?sslmode=disable", self.postgres.url())
    }

    async fn seed(&self) -> Result<(), Error> {
        let key = RowKey {
            id: ConnectionId(uuid::Uuid::from_u128(
                0x0198_c5f3_7a10_7c3e_a2d1_5f0e_9b64_2c11,
            )),
            provider: PROVIDER.to_owned(),
            owner: Owner::new(None, None)?,
            account: ACCOUNT.to_owned(),
        };
        // As long as Google's are.
        let credentials = Credentials {
            access_token: AccessToken::new("a".repeat(220)),
            refresh_token: Some(RefreshToken::new("r".repeat(103))),
            lifetime: Some(86_400),
            metadata: Map::new(),
        };
        let ring = KeyRing::parse(&self.encryption_key)?;
        let sealed = ring.seal(
            &credentials.to_plaintext(),
            &key.place(Column::TokenData),
            fill,
        );
        let scopes = ScopeSet::parse(
            "https://www.googleapis.com/auth/gmail.readonly \
             https://www.googleapis.com/auth/userinfo.email openid",
        );
        let store = Store::new(&DatabaseUrl::parse(&self.url(), None)?)?;
        let granted = Granted {
            key: &key,
            subject: Some(SUBJECT),
            client_id: "000000000000-bench.apps.googleusercontent.com",
            scopes: &scopes,
            requested_scopes: &scopes,
            missing_scopes: &ScopeSet::default(),
            scopes_assumed: false,
            expires_in: Some(86_400.0),
            refresh_expires_in: None,
            sealed: &sealed,
            key_id: ring.primary_id().to_string(),
            warning: None,
        };
        match save_granted(&store, &granted).await? {
            true => Ok(()),
            false => Err("the connection was not saved".into()),
        }
    }
}

/// Fills with randomness.
pub fn fill(bytes: &mut [u8]) {
    rand::fill(bytes).expect("the operating system provides randomness");
}
