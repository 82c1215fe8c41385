//! A small Redis client: a few connections, one time limit for all that is done at once,
//! and a rest after failures. Nothing runs beside the request that asks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::resp::{self, Reply};
use super::url::{RedisUrl, RedisUrlError};
use crate::store;

/// All that one request may wait for Redis, connecting included.
pub(super) const LIMIT: Duration = Duration::from_millis(50);
/// Reads leave Redis alone for so long after a failure.
const REST: Duration = Duration::from_secs(5);
/// Connections that are kept for later: as many as requests that an instance serves at once.
const MAX_IDLE: usize = 32;

/// Why Redis did not do what it was asked. Holds no address and no value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RedisError {
    /// Not within 50 ms.
    #[error("it did not answer in time")]
    Timeout,
    /// No connection.
    #[error("it could not be reached")]
    Unreachable,
    /// The connection ended.
    #[error("it closed the connection")]
    Closed,
    /// Something else than Redis answers.
    #[error("its answer is not one of Redis")]
    Protocol,
    /// An error of the server's, such as `WRONGPASS`.
    #[error("it refused with {0}")]
    Refused(String),
}

impl RedisError {
    /// Of an error line: its first word, if that is a code.
    pub(super) fn refused(line: &str) -> Self {
        let code = line.split(' ').next().unwrap_or_default();
        let plain = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase());
        Self::Refused(
            if plain && code.len() <= 20 {
                code
            } else {
                "ERR"
            }
            .to_owned(),
        )
    }
}

impl From<std::io::Error> for RedisError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            // Cut off within an answer.
            std::io::ErrorKind::UnexpectedEof => Self::Protocol,
            _ => Self::Closed,
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    /// Answers on their way that nobody has waited for.
    owed: usize,
}

/// A Redis server.
pub(super) struct Redis {
    url: RedisUrl,
    tls: Option<TlsConnector>,
    idle: Mutex<Vec<Connection>>,
    rest_until: Mutex<Option<Instant>>,
}

impl Redis {
    /// Connects to nothing yet.
    pub fn new(url: RedisUrl) -> Result<Self, RedisUrlError> {
        let tls = url.tls.then(|| connector(&url)).transpose()?;
        Ok(Self {
            url,
            tls,
            idle: Mutex::default(),
            rest_until: Mutex::default(),
        })
    }

    /// Whether it failed so shortly ago that it is better left alone.
    pub fn rests(&self) -> bool {
        let until = lock(&self.rest_until);
        until.is_some_and(|until| until > Instant::now())
    }

    /// Sends commands and waits for their answers, until `limit`. A failure begins a rest.
    pub async fn ask(
        &self,
        commands: &[&[&[u8]]],
        limit: Instant,
    ) -> Result<Vec<Reply>, RedisError> {
        let asked = timeout_at(limit, self.exchange(commands, true)).await;
        self.judge(asked.unwrap_or(Err(RedisError::Timeout)))
    }

    /// Sends commands whose answers nobody waits for; the next who uses the connection
    /// reads them.
    pub async fn tell(&self, commands: &[&[&[u8]]], limit: Instant) -> Result<(), RedisError> {
        let told = timeout_at(limit, self.exchange(commands, false)).await;
        self.judge(told.unwrap_or(Err(RedisError::Timeout)).map(drop))
    }

    fn judge<T>(&self, result: Result<T, RedisError>) -> Result<T, RedisError> {
        match &result {
            Ok(_) => *lock(&self.rest_until) = None,
            Err(error) => {
                lock(&self.idle).clear();
                let before = lock(&self.rest_until).replace(Instant::now() + REST);
                // Of an outage only the beginning is told.
                if before.is_none() {
                    tracing::warn!(event = "cache_unavailable", %error);
                }
            }
        }
        result
    }

    async fn exchange(&self, commands: &[&[&[u8]]], wait: bool) -> Result<Vec<Reply>, RedisError> {
        let kept = lock(&self.idle).pop();
        let reused = match kept {
            None => None,
            // The server closes what is idle; nothing was carried out then.
            Some(kept) => match self.on(kept, commands, wait).await {
                Err(RedisError::Closed) => None,
                other => Some(other?),
            },
        };
        match reused {
            Some(replies) => Ok(replies),
            None => self.on(self.connect().await?, commands, wait).await,
        }
    }

    async fn on(
        &self,
        mut connection: Connection,
        commands: &[&[&[u8]]],
        wait: bool,
    ) -> Result<Vec<Reply>, RedisError> {
        let mut bytes = Vec::new();
        commands
            .iter()
            .for_each(|command| resp::write(command, &mut bytes));
        connection.stream.write_all(&bytes).await?;
        connection.stream.flush().await?;
        let mut replies = Vec::new();
        if wait {
            for _ in 0..std::mem::take(&mut connection.owed) {
                resp::read(&mut connection.stream).await?;
            }
            for _ in commands {
                replies.push(resp::read(&mut connection.stream).await?);
            }
        } else {
            connection.owed += commands.len();
        }
        let mut idle = lock(&self.idle);
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
        Ok(replies)
    }

    /// A connection that has said who it is; whether that was accepted is owed.
    async fn connect(&self) -> Result<Connection, RedisError> {
        let RedisUrl { host, port, .. } = &self.url;
        let tcp = TcpStream::connect((host.as_str(), *port))
            .await
            .map_err(|_| RedisError::Unreachable)?;
        // Only a matter of speed.
        drop(tcp.set_nodelay(true));
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|_| RedisError::Unreachable)?;
                let encrypted = tls.connect(name, tcp).await;
                Box::new(encrypted.map_err(|_| RedisError::Unreachable)?)
            }
        };
        let mut connection = Connection {
            stream: BufReader::new(stream),
            owed: 0,
        };
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        if let Some(password) = &self.url.password {
            let user = self.url.user.as_deref().map(str::as_bytes);
            let words: Vec<&[u8]> = [Some(&b"AUTH"[..]), user, Some(password.as_bytes())]
                .into_iter()
                .flatten()
                .collect();
            resp::write(&words, &mut bytes);
            connection.owed += 1;
        }
        if self.url.database != 0 {
            resp::write(
                &[b"SELECT", self.url.database.to_string().as_bytes()],
                &mut bytes,
            );
            connection.owed += 1;
        }
        connection.stream.write_all(&bytes).await?;
        Ok(connection)
    }
}

fn connector(url: &RedisUrl) -> Result<TlsConnector, RedisUrlError> {
    let roots = store::tls::roots(url.certificates.as_deref());
    let roots = roots.ok_or(RedisUrlError::Certificate)?;
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| RedisUrlError::Certificate)?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
