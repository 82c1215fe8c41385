//! SQL and nothing else: one file per table, free functions given a [`Store`].
//!
//! Every statement is sent unnamed with its types, in one round trip, so that it
//! works through a transaction pooler whose server connections are being swapped.

pub mod completed_links;
pub mod connection_events;
pub mod cron_runs;
pub mod database_url;
pub mod disabled_webhooks;
pub mod earlier_tables;
pub mod email_messages;
pub mod gmail_mailboxes;
pub mod gmail_watches;
pub mod inspect;
pub mod oauth_tokens;
pub mod pending_authorizations;
pub mod pending_revocations;
pub mod prune;
pub mod schema;
pub mod sent_messages;
pub(crate) mod tls;
pub mod token_reads;
pub mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, QueueMode, RecyclingMethod, Runtime,
};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use uuid::Uuid;

pub use database_url::{DatabaseUrl, DatabaseUrlError};

use crate::cache::Cache;
use crate::connection::RowKey;

/// The longest that one statement may take, the wait for a connection included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of one instance. An instance serves few requests at once, and statements
/// of different requests are short: more would only load the database.
const POOL_SIZE: usize = 4;

/// Where a page of a listing ended, in whose order it is.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// The time that the listing is ordered by, of the last row shown.
    pub at: DateTime<Utc>,
    /// Its id, which decides between equal times.
    pub id: Uuid,
}

/// A statement's parameters with their types.
pub type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// Why the database did not do what it was asked. Holds no SQL and no values.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// No connection, no answer in time, or the server is shutting down.
    #[error("the database could not be reached ({0})")]
    Unavailable(String),
    /// The server refused the statement; SQLSTATE.
    #[error("the database refused a statement (SQLSTATE {0})")]
    Refused(String),
    /// The schema cannot be used or created; says what to do.
    #[error("{0}")]
    Schema(String),
}

/// The database, as a small pool that connects when it is first used.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    /// An event was written since somebody last asked.
    news: Arc<AtomicBool>,
    /// What has to know of a change before it is made.
    cache: Option<Arc<Cache>>,
}

impl Store {
    /// Opens nothing yet.
    pub fn new(url: &DatabaseUrl) -> Result<Self, DatabaseUrlError> {
        let fast = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(url.config(), tls::connector(url)?, fast);
        let pool = Pool::builder(manager)
            .max_size(POOL_SIZE)
            // The connection used last: its server process is still warm, and others may
            // be closed by the server for being idle.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(TIMEOUT))
            .create_timeout(Some(TIMEOUT))
            .build()
            .map_err(|_| DatabaseUrlError::Malformed)?;
        Ok(Self {
            pool,
            news: Arc::default(),
            cache: None,
        })
    }

    /// With a cache that is told of every change before it is made.
    pub fn with_cache(self, cache: Option<Arc<Cache>>) -> Self {
        Self { cache, ..self }
    }

    /// To be called before each statement that changes what a token read answers: from here
    /// on nobody is served what the cache holds of this connection.
    /// `subject` is the account's stable id where the change brings one.
    /// Whether that is so; if not, it is for five seconds at the most.
    async fn will_change(&self, key: &RowKey, subject: Option<&str>) -> bool {
        match &self.cache {
            None => true,
            Some(cache) => cache.block(key, subject).await,
        }
    }

    /// Whether an event was written through this store since the last call.
    pub fn take_news(&self) -> bool {
        self.news.swap(false, Ordering::Relaxed)
    }

    /// Says that a statement wrote an event.
    fn wrote_event(&self) {
        self.news.store(true, Ordering::Relaxed);
    }

    /// Whether the database answers at all.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read("select 1", &[]).await.map(drop)
    }

    /// Reads. Tables that are not there yet hold nothing, and are not created by looking;
    /// those of an older version are brought up to date, as their rows count.
    pub async fn read(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, StoreError> {
        match self.run(sql, params).await {
            Err(Failure::NoTables) => Ok(Vec::new()),
            Err(Failure::OtherTables) => self.run_after_ensuring(sql, params).await,
            other => other.map_err(Failure::into_error),
        }
    }

    /// Writes, and answers the `returning` rows. The schema is made sure of when, and
    /// only when, the database says that it is missing.
    pub async fn write(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, StoreError> {
        match self.run(sql, params).await {
            Err(Failure::NoTables | Failure::OtherTables) => {
                self.run_after_ensuring(sql, params).await
            }
            other => other.map_err(Failure::into_error),
        }
    }

    async fn run_after_ensuring(
        &self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        schema::ensure(self).await?;
        self.run(sql, params).await.map_err(Failure::into_error)
    }

    /// Several statements as one transaction, for schema work by operators; they may take a
    /// while, since they may have to wait for locks.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), StoreError> {
        let connection = self.connection().await.map_err(Failure::into_error)?;
        match tokio::time::timeout(TIMEOUT * 4, connection.batch_execute(sql)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::of(&error).into_error()),
            Err(_) => {
                drop(Object::take(connection));
                Err(StoreError::Unavailable("no answer in time".to_owned()))
            }
        }
    }

    /// Runs one statement; once more on a fresh connection when the pooled one turns out
    /// to be closed, as after a freeze of the whole process.
    async fn run(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Failure> {
        let first = self.attempt(sql, params).await;
        match first {
            Err(Failure::Closed(_)) => self.attempt(sql, params).await,
            other => other,
        }
    }

    async fn attempt(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Failure> {
        let connection = self.connection().await?;
        match tokio::time::timeout(TIMEOUT, connection.query_typed(sql, params)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(Failure::of(&error)),
            Err(_) => {
                // Its state is unknown: it must not go back into the pool.
                drop(Object::take(connection));
                Err(Failure::Other(StoreError::Unavailable(
                    "no answer in time".to_owned(),
                )))
            }
        }
    }

    async fn connection(&self) -> Result<Object, Failure> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => match Failure::of(&error) {
                Failure::Closed(reason) => Failure::Other(StoreError::Unavailable(reason)),
                other => other,
            },
            PoolError::Timeout(_) => {
                Failure::Other(StoreError::Unavailable("no connection in time".to_owned()))
            }
            _ => Failure::Other(StoreError::Unavailable("no connection".to_owned())),
        })
    }
}

enum Failure {
    NoTables,
    OtherTables,
    Closed(String),
    Other(StoreError),
}

impl Failure {
    fn of(error: &tokio_postgres::Error) -> Self {
        let Some(state) = error.code() else {
            let reason = match error.is_closed() {
                true => "the connection was closed",
                false => "the connection broke",
            };
            return Self::Closed(reason.to_owned());
        };
        let code = state.code().to_owned();
        match state {
            &SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME => Self::NoTables,
            &SqlState::UNDEFINED_COLUMN => Self::OtherTables,
            // Shutting down, starting up, or closed by an administrator or a pooler.
            &SqlState::ADMIN_SHUTDOWN
            | &SqlState::CRASH_SHUTDOWN
            | &SqlState::IDLE_SESSION_TIMEOUT => Self::Closed(format!("SQLSTATE {code}")),
            _ if code.starts_with("08") || code.starts_with("57") || code.starts_with("53") => {
                Self::Other(StoreError::Unavailable(format!("SQLSTATE {code}")))
            }
            _ if code.starts_with("28") || code == "3D000" => Self::Other(StoreError::Unavailable(
                format!("it refused the login, SQLSTATE {code}"),
            )),
            _ => Self::Other(StoreError::Refused(code)),
        }
    }

    fn into_error(self) -> StoreError {
        match self {
            Self::NoTables | Self::OtherTables => StoreError::Schema(
                "the database's tables are not those of this version, and could not be brought up \
                 to date: apply the files of migrations/ with a role that may"
                    .to_owned(),
            ),
            Self::Closed(reason) => StoreError::Unavailable(reason),
            Self::Other(error) => error,
        }
    }
}
