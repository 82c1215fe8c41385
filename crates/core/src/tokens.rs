//! Access tokens that work: find the connection, and refresh it first if it has to be,
//! once across all instances.

mod audit;
mod cached;
pub(crate) mod pause;
pub(crate) mod refresh;
mod save;

pub use audit::{issue, refused};
pub use cached::Cached;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::cipher::OpenError;
use crate::connection::{Column, Owner, RowKey, Version};
use crate::credentials::{Credentials, Times};
use crate::provider::Provider;
use crate::scope::{Mode, ScopeSet};
use crate::secret::AccessToken;
use crate::store::oauth_tokens::{self, Connection, Status};
use crate::store::{StoreError, connection_events};

/// Which token a caller wants.
pub struct Wanted {
    /// Whose connection.
    pub owner: Owner,
    /// Needed only where the owner has several accounts at the provider.
    pub account: Option<String>,
    /// What the token has to be good for.
    pub scopes: ScopeSet,
    /// How strictly.
    pub mode: Mode,
    /// For so many seconds it should work yet, if the provider issues tokens for that long.
    pub min_ttl: Option<i64>,
    /// A token that the provider's API answered 401 to.
    pub rejected: Option<AccessToken>,
}

/// A token that works.
pub struct Usable {
    /// Where it is from; its times and scopes are those of the token.
    pub connection: Connection,
    /// The token set.
    pub credentials: Credentials,
    /// False when it was refreshed and could not be saved.
    pub persisted: bool,
}

/// A token that works, as it is handed out to a caller.
pub struct Issued {
    /// Where it is from.
    pub key: RowKey,
    /// What it is good for.
    pub scopes: ScopeSet,
    /// Which of the connection's token sets.
    pub version: Version,
    /// When it came and ends.
    pub times: Times,
    /// The token set; without its refresh token where that was not asked for.
    pub credentials: Credentials,
    /// False when it was refreshed and could not be saved.
    pub persisted: bool,
    /// Whether the cache had it.
    pub cached: Cached,
}

impl From<Usable> for Issued {
    fn from(usable: Usable) -> Self {
        let times = usable.connection.times();
        Self {
            key: usable.connection.key,
            scopes: usable.connection.scopes,
            version: usable.connection.version,
            times,
            credentials: usable.credentials,
            persisted: usable.persisted,
            cached: Cached::Not,
        }
    }
}

/// Why a connection could not give a usable access token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nobody connected this.
    #[error("there is no such connection")]
    NotConnected,
    /// Several accounts and none named.
    #[error("there are several accounts")]
    AmbiguousAccount {
        /// Their names.
        accounts: Vec<String>,
    },
    /// `has_scopes` failed.
    #[error("the connection was not granted the scopes that are needed")]
    InsufficientScope {
        /// What to ask the user for.
        missing: ScopeSet,
        /// What there is.
        granted: ScopeSet,
        /// Whose consent to ask for.
        account: String,
    },
    /// The grant is dead: the user has to connect again.
    #[error("the provider no longer honours this connection")]
    ReauthorizationRequired {
        /// A code such as `invalid_grant`.
        reason: String,
        /// Since when.
        since: DateTime<Utc>,
        /// Whose consent to ask for.
        account: String,
    },
    /// The provider refused our client credentials: the operator has to act.
    #[error("the provider refused the client credentials")]
    ClientRefused {
        /// The provider's `error`.
        error: String,
    },
    /// The provider answered something that trying again does not change.
    #[error("the provider refused to refresh")]
    ProviderRefused {
        /// The provider's `error`.
        error: String,
        /// HTTP status.
        status: u16,
    },
    /// Time-out, 429, 5xx: the same request may work later.
    #[error("the provider is not available")]
    ProviderUnavailable {
        /// What happened, for people.
        reason: String,
        /// Seconds to wait.
        retry_after: u64,
    },
    /// The token set does not open.
    #[error("the stored token set does not open")]
    Cipher(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Answers a live access token of one connection, refreshing it first if it has to.
/// One statement when it is fresh, and no write.
pub async fn usable(app: &App, provider: &Provider, wanted: &Wanted) -> Result<Usable, TokenError> {
    flush(app).await;
    let current = match select(app, provider, wanted).await {
        Err(TokenError::Store(error)) => kept(app, provider, wanted).ok_or(error)?,
        other => other?,
    };
    serve(app, provider, wanted, current).await
}

/// The same of a row that was read a moment ago, with `wanted` saying the rest: no
/// statement when its token is fresh.
pub(crate) async fn usable_of(
    app: &App,
    provider: &Provider,
    wanted: &Wanted,
    row: Connection,
) -> Result<Usable, TokenError> {
    let current = opened(app, row).await?;
    serve(app, provider, wanted, current).await
}

/// Writes what an earlier request could not.
async fn flush(app: &App) {
    if !app.unsaved.is_empty() {
        app.unsaved.flush(&app.store, app.now()).await;
    }
}

/// `current` if it has what is wanted and still works long enough, else refreshed.
async fn serve(
    app: &App,
    provider: &Provider,
    wanted: &Wanted,
    current: Usable,
) -> Result<Usable, TokenError> {
    require(provider, wanted, &current.connection)?;

    let rejected = wanted
        .rejected
        .as_ref()
        .is_some_and(|rejected| rejected.same_as(&current.credentials.access_token));
    let times = current.connection.times();
    let stale = current.credentials.is_stale(&times, provider.configured())
        || wanted.min_ttl.is_some_and(|ttl| times.is_short_of(ttl));
    let current = match (rejected, stale) {
        (false, false) => return Ok(current),
        (rejected, _) => refresh::refresh(app, provider, current, rejected).await?,
    };
    // A refresh may come back with fewer scopes than before.
    require(provider, wanted, &current.connection)?;
    Ok(current)
}

async fn select(app: &App, provider: &Provider, wanted: &Wanted) -> Result<Usable, TokenError> {
    let account = wanted.account.as_deref();
    let found = oauth_tokens::find(&app.store, &provider.name, &wanted.owner, account).await?;
    only(app, found).await
}

/// The one connection that works or did, opened.
async fn only(app: &App, mut found: Vec<Connection>) -> Result<Usable, TokenError> {
    found.retain(|connection| connection.status != Status::Pending);
    if found.len() > 1 {
        let accounts = found
            .into_iter()
            .map(|connection| connection.key.account)
            .collect();
        return Err(TokenError::AmbiguousAccount { accounts });
    }
    let row = found.pop().ok_or(TokenError::NotConnected)?;
    opened(app, row).await
}

async fn opened(app: &App, row: Connection) -> Result<Usable, TokenError> {
    let key = row.key.clone();
    let opened = open(app, row);
    if let Err(TokenError::Cipher(error)) = &opened {
        note_unreadable(app, &key, error).await;
    }
    opened
}

/// Somebody who can write to the database may be at work: that is worth a trace there and
/// a line here. The caller is refused in any case.
async fn note_unreadable(app: &App, key: &RowKey, error: &OpenError) {
    tracing::error!(connection_id = %key.id, provider = %key.provider, %error, "does not open");
    if *error == OpenError::Integrity
        && let Err(error) = connection_events::insert_integrity_error(&app.store, key).await
    {
        tracing::warn!(connection_id = %key.id, %error, "not recorded");
    }
}

/// Opens a row's token set, unless its grant is dead; what this instance refreshed and
/// could not write wins over what the row holds.
pub fn open(app: &App, connection: Connection) -> Result<Usable, TokenError> {
    if connection.status == Status::ReauthorizationRequired {
        return Err(dead(connection));
    }
    let kept = app
        .unsaved
        .newer_than(connection.key.id, connection.version);
    let persisted = kept.is_none();
    let connection = kept.map_or(connection, |kept| kept.as_connection(app.now()));
    let sealed = connection
        .sealed
        .as_deref()
        .ok_or(TokenError::NotConnected)?;
    let plaintext = app
        .settings
        .keys
        .open(sealed, &connection.key.place(Column::TokenData))?;
    let credentials = Credentials::from_plaintext(&plaintext).ok_or(OpenError::Integrity)?;
    Ok(Usable {
        connection,
        credentials,
        persisted,
    })
}

/// A refreshed token set of this instance, for when the database cannot be asked.
fn kept(app: &App, provider: &Provider, wanted: &Wanted) -> Option<Usable> {
    let kept = app.unsaved.find(|connection| {
        connection.key.provider == provider.name
            && connection.key.owner == wanted.owner
            && wanted
                .account
                .as_ref()
                .is_none_or(|account| *account == connection.key.account)
    })?;
    open(app, kept.connection)
        .ok()
        .filter(|usable| usable.connection.times().is_usable())
}

fn dead(connection: Connection) -> TokenError {
    TokenError::ReauthorizationRequired {
        reason: connection
            .status_reason
            .unwrap_or_else(|| "unknown".to_owned()),
        since: connection.status_since,
        account: connection.key.account,
    }
}

fn require(
    provider: &Provider,
    wanted: &Wanted,
    connection: &Connection,
) -> Result<(), TokenError> {
    let missing = connection
        .scopes
        .missing(&wanted.scopes, provider.scope_rules(), wanted.mode);
    if missing.is_empty() {
        return Ok(());
    }
    Err(TokenError::InsufficientScope {
        missing,
        granted: connection.scopes.clone(),
        account: connection.key.account.clone(),
    })
}
