//! Many connected mailboxes: a demo provider that has them, and a database that watches them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use grantkeep_core::cipher::KeyRing;
use grantkeep_core::connection::{Column, ConnectionId, Owner, RowKey};
use grantkeep_core::credentials::Credentials;
use grantkeep_core::secret::{AccessToken, RefreshToken};
use grantkeep_demo_provider::client::{DEMO_CLIENT_ID, DEMO_CLIENT_SECRET};
use serde_json::{Map, Value, json};
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::bench::Error;
use crate::bench::database::{Database, PROVIDER, fill};

const SECRET: &str = "a-cron-secret-of-the-benchmark";
const SENDER: &str = "ann@sender.example";
/// Rows in one statement, messages in one request.
const BATCH: usize = 1000;

/// Dropping it ends both.
pub struct World {
    database: Database,
    provider: Child,
    origin: String,
    mailboxes: usize,
    runtime: tokio::runtime::Runtime,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.provider.kill();
        let _ = self.provider.wait();
    }
}

impl World {
    /// Starts both; every mailbox is watched for one sender and due.
    pub fn start(provider: &Path, mailboxes: usize) -> Result<Self, Error> {
        let mut child = Command::new(provider)
            .arg(mailboxes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(output).lines();
        let origin = lines.next().ok_or("no origin")??;
        let tokens = lines.take(mailboxes).collect::<Result<Vec<_>, _>>()?;
        let world = Self {
            database: Database::start()?,
            provider: child,
            origin,
            mailboxes,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        };
        world.connect(&tokens)?;
        Ok(world)
    }

    fn connect(&self, tokens: &[String]) -> Result<(), Error> {
        let ring = KeyRing::parse(&self.database.encryption_key)?;
        for (batch, tokens) in tokens.chunks(BATCH).enumerate() {
            let (mut ids, mut accounts, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
            for (number, pair) in tokens.iter().enumerate() {
                let (access, refresh) = pair.split_once(' ').ok_or("no pair of tokens")?;
                let mut id = [0; 16];
                fill(&mut id);
                let account = format!("user{}@example.test", batch * BATCH + number);
                let key = RowKey {
                    id: ConnectionId(uuid::Builder::from_random_bytes(id).into_uuid()),
                    provider: PROVIDER.to_owned(),
                    owner: Owner::new(None, Some(&account))?,
                    account: account.clone(),
                };
                let credentials = Credentials {
                    access_token: AccessToken::new(access),
                    refresh_token: Some(RefreshToken::new(refresh)),
                    lifetime: Some(3600),
                    metadata: Map::new(),
                };
                let place = key.place(Column::TokenData);
                sealed.push(ring.seal(&credentials.to_plaintext(), &place, fill));
                ids.push(key.id.0);
                accounts.push(account);
            }
            self.insert(&ring.primary_id().to_string(), &ids, &accounts, &sealed)?;
        }
        self.execute("analyze")
    }

    fn insert(
        &self,
        key_id: &str,
        ids: &[Uuid],
        accounts: &[String],
        sealed: &[Vec<u8>],
    ) -> Result<(), Error> {
        let rows = "insert into oauth_tokens (id, provider, workspace_id, actor_id, account,
                           client_id, scopes, requested_scopes, expires_at, status, token_data,
                           key_id)
                    select id, 'gmail', 'default', account, account, $4,
                           array['https://www.googleapis.com/auth/gmail.readonly'],
                           array['https://www.googleapis.com/auth/gmail.readonly'],
                           now() + interval '1 hour', 'active', sealed, $5
                      from unnest($1::uuid[], $2::text[], $3::bytea[]) as x(id, account, sealed)";
        let mailboxes = "insert into gmail_mailboxes (connection_id) select unnest($1::uuid[])";
        let watches = "insert into gmail_watches (id, connection_id, query)
                       select gen_random_uuid(), id, $2 from unnest($1::uuid[]) as x(id)";
        let query = format!("from:\"{SENDER}\"");
        self.runtime.block_on(async {
            let client = self.client().await?;
            let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
                &[&ids, &accounts, &sealed, &DEMO_CLIENT_ID, &key_id];
            client.execute(rows, params).await?;
            client.execute(mailboxes, &[&ids]).await?;
            client.execute(watches, &[&ids, &query]).await?;
            Ok(())
        })
    }

    /// Everything that the cron function needs.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let overrides = json!({PROVIDER: {
            "issuer": self.origin,
            "authorization_endpoint": format!("{}/authorize", self.origin),
            "token_endpoint": format!("{}/token", self.origin),
            "api_base": self.origin,
        }});
        vec![
            ("DATABASE_URL", self.database.url()),
            ("OAUTH_ENCRYPTION_KEY", self.database.encryption_key.clone()),
            ("PUBLIC_URL", "https://app.example".to_owned()),
            ("CRON_SECRET", SECRET.to_owned()),
            ("GOOGLE_CLIENT_ID", DEMO_CLIENT_ID.to_owned()),
            ("GOOGLE_CLIENT_SECRET", DEMO_CLIENT_SECRET.to_owned()),
            ("OAUTH_PROVIDERS", overrides.to_string()),
        ]
    }

    /// One invocation; its counts.
    pub fn poll(&self, function: SocketAddr) -> Result<Value, Error> {
        let headers = format!("authorization: Bearer {SECRET}\r\n");
        ask(function, "GET", "/api/cron/poll", &headers, "")
    }

    /// Lets every request of the mail API take so long.
    pub fn slow_down(&self, milliseconds: u64) -> Result<(), Error> {
        let knobs = json!({"api_delay_ms": milliseconds});
        self.control("PATCH", "knobs", &knobs).map(drop)
    }

    /// Puts messages of the watched sender into the mailboxes that are `chosen` by number.
    pub fn deliver(&self, each: usize, chosen: impl Fn(usize) -> bool) -> Result<(), Error> {
        let messages: Vec<Value> = (0..self.mailboxes)
            .filter(|number| chosen(*number))
            .flat_map(|number| vec![number; each])
            .map(|number| {
                json!({
                    "account": format!("user{number}@example.test"),
                    "from": format!("Ann <{SENDER}>"), "subject": "Hello", "text": "How are you?",
                })
            })
            .collect();
        for batch in messages.chunks(BATCH) {
            self.control("POST", "messages", &json!(batch))?;
        }
        Ok(())
    }

    /// How many requests the mail API got.
    pub fn calls(&self) -> Result<u64, Error> {
        let calls = self.control("GET", "calls", &Value::Null)?;
        let counts = calls.as_object().ok_or("no counts")?.values();
        Ok(counts.filter_map(Value::as_u64).sum())
    }

    /// Counts anew.
    pub fn forget_calls(&self) -> Result<(), Error> {
        self.control("DELETE", "requests", &Value::Null).map(drop)
    }

    fn control(&self, method: &str, path: &str, body: &Value) -> Result<Value, Error> {
        let address = self.origin.trim_start_matches("http://").parse()?;
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let headers = "content-type: application/json\r\n";
        ask(address, method, &format!("/control/{path}"), headers, &body)
    }

    /// Lets every mailbox be due.
    pub fn make_due(&self) -> Result<(), Error> {
        self.execute("update gmail_mailboxes set poll_at = now(); analyze gmail_mailboxes")
    }

    /// Lets the leases that are left run out; how many there were.
    pub fn end_leases(&self) -> Result<u64, Error> {
        self.runtime.block_on(async {
            let sql = "update gmail_mailboxes set lease_until = now(), poll_at = now()
                        where lease_id is not null";
            Ok(self.client().await?.execute(sql, &[]).await?)
        })
    }

    /// Rows of messages, and different messages among them.
    pub fn stored(&self) -> Result<(usize, usize), Error> {
        self.runtime.block_on(async {
            let sql = "select count(*), count(distinct message_id) from email_messages";
            let row = self.client().await?.query_one(sql, &[]).await?;
            let count = |column| usize::try_from(row.get::<_, i64>(column));
            Ok((count(0)?, count(1)?))
        })
    }

    fn execute(&self, sql: &str) -> Result<(), Error> {
        self.runtime
            .block_on(async { Ok(self.client().await?.batch_execute(sql).await?) })
    }

    async fn client(&self) -> Result<tokio_postgres::Client, Error> {
        let (client, connection) = tokio_postgres::connect(&self.database.url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// A request on a connection of its own; the JSON that came, or null.
fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Result<Value, Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    match head.starts_with("HTTP/1.1 2") {
        true if body.is_empty() => Ok(Value::Null),
        true => Ok(serde_json::from_str(body)?),
        false => Err(format!("{method} {path}: {head} {body}").into()),
    }
}
