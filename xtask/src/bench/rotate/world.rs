//! Many connections under one key, some of which the demo provider refreshes, each refresh
//! token once.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantkeep_core::cipher::KeyRing;
use grantkeep_core::connection::{Column, ConnectionId, Owner, RowKey};
use grantkeep_core::credentials::Credentials;
use grantkeep_core::secret::{AccessToken, RefreshToken};
use grantkeep_demo_provider::client::{DEMO_CLIENT_ID, DEMO_CLIENT_SECRET};
use serde_json::{Map, json};
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::traffic::Caller;
use crate::bench::Error;
use crate::bench::database::{Database, fill};
use crate::bench::function::Function;

/// So many connections have tokens of the demo provider.
pub const LIVE: usize = 3000;
/// May read.
pub const KEY: &str = "gk_rotation";
const BATCH: usize = 1000;

/// Dropping it ends database and provider.
pub struct World {
    database: Database,
    provider: Child,
    origin: String,
    rows: usize,
    /// The newest first.
    keys: Vec<String>,
    runtime: tokio::runtime::Runtime,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.provider.kill();
        let _ = self.provider.wait();
    }
}

/// Whose the connection of a row is.
pub fn actor(row: usize) -> String {
    format!("user{row}")
}

impl World {
    /// Starts both, and seals every connection.
    pub fn start(provider: &Path, rows: usize) -> Result<Self, Error> {
        let mut child = Command::new(provider)
            .arg(LIVE.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(output).lines();
        let origin = lines.next().ok_or("no origin")??;
        let tokens = lines.take(LIVE).collect::<Result<Vec<_>, _>>()?;
        let database = Database::start()?;
        let world = Self {
            keys: vec![database.encryption_key.clone()],
            database,
            provider: child,
            origin,
            rows,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        };
        world.use_tokens_once()?;
        world.connect(&tokens)?;
        Ok(world)
    }

    /// A refresh that is not saved is a connection that is lost.
    fn use_tokens_once(&self) -> Result<(), Error> {
        let address = self.origin.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address)?;
        let body = json!({"refresh_tokens": "single_use"}).to_string();
        let length = body.len();
        write!(
            stream,
            "PATCH /control/knobs HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.starts_with("HTTP/1.1 2") {
            true => Ok(()),
            false => Err(format!("the knobs were refused: {answer}").into()),
        }
    }

    fn connect(&self, tokens: &[String]) -> Result<(), Error> {
        let ring = KeyRing::parse(&self.keys[0])?;
        for first in (0..self.rows).step_by(BATCH) {
            let (mut ids, mut actors, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
            for row in first..self.rows.min(first + BATCH) {
                // As long as Google's are, where nobody refreshes.
                let never = format!("{} {}", "a".repeat(220), "r".repeat(103));
                let pair = tokens.get(row).unwrap_or(&never);
                let (access, refresh) = pair.split_once(' ').ok_or("no pair of tokens")?;
                let mut id = [0; 16];
                fill(&mut id);
                let key = RowKey {
                    id: ConnectionId(uuid::Builder::from_random_bytes(id).into_uuid()),
                    provider: "gmail".to_owned(),
                    owner: Owner::new(None, Some(&actor(row)))?,
                    account: actor(row),
                };
                let credentials = Credentials {
                    access_token: AccessToken::new(access),
                    refresh_token: Some(RefreshToken::new(refresh)),
                    lifetime: Some(86_400),
                    metadata: Map::new(),
                };
                let place = key.place(Column::TokenData);
                sealed.push(ring.seal(&credentials.to_plaintext(), &place, fill));
                ids.push(key.id.0);
                actors.push(actor(row));
            }
            self.insert(&ring.primary_id().to_string(), &ids, &actors, &sealed)?;
        }
        Ok(())
    }

    fn insert(
        &self,
        key_id: &str,
        ids: &[Uuid],
        actors: &[String],
        sealed: &[Vec<u8>],
    ) -> Result<(), Error> {
        let sql = "insert into oauth_tokens (id, provider, workspace_id, actor_id, account,
                          client_id, scopes, requested_scopes, expires_at, status, token_data,
                          key_id)
                   select id, 'gmail', 'default', actor, actor, $4,
                          array['https://www.googleapis.com/auth/gmail.readonly'],
                          array['https://www.googleapis.com/auth/gmail.readonly'],
                          now() + interval '1 day', 'active', sealed, $5
                     from unnest($1::uuid[], $2::text[], $3::bytea[]) as x(id, actor, sealed)";
        self.runtime.block_on(async {
            let client = self.client().await?;
            client
                .execute(sql, &[&ids, &actors, &sealed, &DEMO_CLIENT_ID, &key_id])
                .await?;
            Ok(())
        })
    }

    /// How many connections there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// From now on this key seals, and those before only open.
    pub fn new_key(&mut self) -> Result<(), Error> {
        let mut key = [0; 32];
        fill(&mut key);
        self.keys.insert(0, STANDARD.encode(key));
        Ok(())
    }

    /// Everything that the functions and the command need.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let overrides = json!({"gmail": {
            "issuer": self.origin,
            "authorization_endpoint": format!("{}/authorize", self.origin),
            "token_endpoint": format!("{}/token", self.origin),
            "refresh_tokens": "single_use",
        }});
        let hash: String = digest(&SHA256, KEY.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        vec![
            ("DATABASE_URL", self.database.url()),
            ("OAUTH_ENCRYPTION_KEY", self.keys[0].clone()),
            ("OAUTH_ENCRYPTION_KEYS_RETIRED", self.keys[1..].join(",")),
            ("PUBLIC_URL", "https://app.example".to_owned()),
            ("SERVICE_KEYS", format!("rotation:*:read:{hash}")),
            ("GOOGLE_CLIENT_ID", DEMO_CLIENT_ID.to_owned()),
            ("GOOGLE_CLIENT_SECRET", DEMO_CLIENT_SECRET.to_owned()),
            ("OAUTH_PROVIDERS", overrides.to_string()),
        ]
    }

    /// How many token sets are not under the newest key.
    pub fn aged(&self) -> Result<i64, Error> {
        let newest = KeyRing::parse(&self.keys[0])?.primary_id().to_string();
        self.runtime.block_on(async {
            let sql = "select count(*) from oauth_tokens where key_id <> $1";
            Ok(self
                .client()
                .await?
                .query_one(sql, &[&newest])
                .await?
                .get(0))
        })
    }

    /// How many of these connections do not have this token, or cannot be refreshed again, with
    /// the newest key alone.
    pub fn lost(&self, token: &Path, tokens: &BTreeMap<usize, String>) -> Result<usize, Error> {
        let sql = "update oauth_tokens set forced_at = null";
        self.runtime.block_on(async {
            self.client()
                .await?
                .batch_execute(sql)
                .await
                .map_err(Error::from)
        })?;
        let mut variables = self.variables();
        variables.retain(|(name, _)| *name != "OAUTH_ENCRYPTION_KEYS_RETIRED");
        let function = Function::start(token, &variables)?;
        let mut caller = Caller::new(function.address);
        let kept = tokens.iter().filter(|(row, token)| {
            caller.token(**row).is_ok_and(|stored| stored == **token)
                && caller.replace(**row, token).is_ok_and(|new| new != **token)
        });
        Ok(tokens.len() - kept.count())
    }

    async fn client(&self) -> Result<tokio_postgres::Client, Error> {
        let (client, connection) = tokio_postgres::connect(&self.database.url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}
