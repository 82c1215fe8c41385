//! One refresh across all instances: whoever gets the lease asks the provider, the
//! others wait for the row to change or use what still works.

use std::time::Duration;

use grantkeep_providers::{Definition, RefreshTokens};
use tokio::time::{Instant, sleep};

use super::pause::{Pause, jitter};
use super::save::save;
use super::{TokenError, Usable, note_unreadable, open};
use crate::app::App;
use crate::connect::is_another;
use crate::oauth::discovery::DiscoveryError;
use crate::oauth::token::{self, TIMEOUT, TokenEndpointError, TokenSet};
use crate::provider::Provider;
use crate::store::oauth_tokens::lease::{self, Failed, Lease};
use crate::store::oauth_tokens::{self, Connection};
use crate::store::{StoreError, connection_events};

/// Two attempts at the provider, the save (at most a second of failures and one time-out),
/// and a margin: nobody else may ask the provider before the holder has given up.
pub(crate) const LEASE: Duration = Duration::from_secs(TIMEOUT.as_secs() * 2 + 8);
/// A waiter outlives a holder that died, and the refresh that follows.
const PATIENCE: Duration = Duration::from_secs(LEASE.as_secs() + 10);
/// Callers can make the same connection refresh this often, in seconds.
const FORCED_EVERY: f64 = 10.0;
/// Before the second attempt at the provider.
const SECOND_ATTEMPT: Duration = Duration::from_millis(150);
/// A token set that does not open is looked at again after this many seconds: somebody may
/// have put its key back.
const UNREADABLE_RETRY: f64 = 300.0;
/// A wrong client secret is tried again after this many seconds.
const CLIENT_RETRY: f64 = 15.0;

/// Refreshes `current`, or waits for whoever does. With `rejected`, the access token is
/// known not to work however long it claims to live.
pub(super) async fn refresh(
    app: &App,
    provider: &Provider,
    mut current: Usable,
    rejected: bool,
) -> Result<Usable, TokenError> {
    let started = Instant::now();
    let mut pause = Pause::new();
    let seen = current.connection.version;
    loop {
        if current.credentials.refresh_token.is_none() {
            return without_refresh_token(app, current, rejected).await;
        }
        let serves = current.connection.times().is_usable() && !rejected;
        let waiting = current
            .connection
            .retry_at
            .filter(|at| *at > current.connection.now);
        if let Some(retry_at) = waiting {
            if serves {
                return Ok(current);
            }
            let wait = (retry_at - current.connection.now).num_seconds().max(0) as u64 + 1;
            return Err(TokenError::ProviderUnavailable {
                reason: format!(
                    "the last refresh failed ({})",
                    error_of(&current.connection)
                ),
                retry_after: wait,
            });
        }
        if !current.connection.leased {
            // Before the claim: the lease has no time for an issuer that answers slowly.
            let definition = match provider.definition(&app.http).await {
                Ok(definition) => definition,
                Err(_) if serves => return Ok(current),
                Err(error) => return Err(undiscovered(&error)),
            };
            match claim(app, &current.connection, rejected).await {
                Ok(Some(lease)) => {
                    return match lead(app, provider, definition, current, lease).await {
                        Err(LeadError::Failed(failed)) if serves => Ok(failed.current),
                        Err(LeadError::Failed(failed)) => Err(failed.into_error()?),
                        Err(LeadError::Token(error)) => Err(error),
                        Ok(refreshed) => Ok(refreshed),
                    };
                }
                Ok(None) => {}
                // The database went away since the read; what was read still works.
                Err(error) if serves => {
                    tracing::warn!(connection_id = %current.connection.key.id, %error, "refresh not begun");
                    return Ok(current);
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Somebody else refreshes. What still works is good enough meanwhile, unless
        // the provider ends it with the refresh.
        if serves && !provider.configured().refresh_ends_access_token {
            return Ok(current);
        }
        sleep(pause.next(app)).await;
        let id = current.connection.key.id;
        let row = oauth_tokens::find_by_id(&app.store, id)
            .await?
            .ok_or(TokenError::NotConnected)?;
        let limited = rejected && !row.leased && row.version == seen && row.retry_at.is_none();
        current = open(app, row)?;
        if current.connection.version != seen
            && !current
                .credentials
                .is_stale(&current.connection.times(), provider.configured())
        {
            return Ok(current);
        }
        if started.elapsed() > PATIENCE || (limited && pause.rounds > 3) {
            return Err(TokenError::ProviderUnavailable {
                reason: match limited {
                    true => "this connection was refreshed on demand a moment ago".to_owned(),
                    false => "another instance is still refreshing".to_owned(),
                },
                retry_after: if limited { FORCED_EVERY as u64 } else { 1 },
            });
        }
    }
}

async fn claim(
    app: &App,
    connection: &Connection,
    rejected: bool,
) -> Result<Option<Lease>, StoreError> {
    let forced_every = rejected.then_some(FORCED_EVERY);
    let (id, seen) = (connection.key.id, connection.version);
    let seconds = LEASE.as_secs_f64();
    lease::claim(&app.store, id, seen, app.new_id(), seconds, forced_every).await
}

/// Nothing to refresh with: the token works until it ends, then the user has to come back.
async fn without_refresh_token(
    app: &App,
    current: Usable,
    rejected: bool,
) -> Result<Usable, TokenError> {
    if current.connection.times().is_usable() && !rejected {
        return Ok(current);
    }
    die(app, current, "no_refresh_token").await
}

/// Marks the grant as dead unless somebody has saved another token set meanwhile.
async fn die(app: &App, current: Usable, reason: &str) -> Result<Usable, TokenError> {
    let (id, seen) = (current.connection.key.id, current.connection.version);
    if lease::mark_dead(&app.store, &current.connection.key, seen, reason).await? {
        let provider = &current.connection.key.provider;
        tracing::warn!(connection_id = %id, %provider, reason, "reauthorization required");
    }
    // Whatever the row says now: the death, or the winner's token set.
    let row = oauth_tokens::find_by_id(&app.store, id)
        .await?
        .ok_or(TokenError::NotConnected)?;
    open(app, row)
}

/// Refreshes a row whose lease is held already.
pub(crate) async fn refresh_claimed(
    app: &App,
    provider: &Provider,
    definition: &Definition,
    connection: Connection,
    lease: Lease,
) -> Result<Usable, LeadError> {
    let key = connection.key.clone();
    match open(app, connection) {
        Ok(current) if current.credentials.refresh_token.is_none() => {
            let left = current.connection.times().expires_in();
            let seconds = left.map_or(86_400.0, |left| left as f64);
            lease::put_off(&app.store, key.id, lease, seconds)
                .await
                .map_err(TokenError::from)?;
            Ok(without_refresh_token(app, current, false).await?)
        }
        Ok(current) => lead(app, provider, definition, current, lease).await,
        Err(error) => {
            if let TokenError::Cipher(cipher) = &error {
                note_unreadable(app, &key, cipher).await;
                let failed = Failed {
                    error: "unreadable",
                    retry_in: UNREADABLE_RETRY,
                    of_connection: true,
                };
                let recorded = lease::record_failure(&app.store, key.id, lease, &failed).await;
                recorded.map_err(TokenError::from)?;
            }
            Err(error.into())
        }
    }
}

/// Why whoever held the lease has nothing new.
pub(crate) enum LeadError {
    /// The provider did not refresh, and the grant is alive.
    Failed(Box<NotRefreshed>),
    /// Anything else.
    Token(TokenError),
}

impl From<TokenError> for LeadError {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

/// A refresh that failed and may be tried again.
pub(crate) struct NotRefreshed {
    /// What the provider said.
    pub(crate) error: TokenEndpointError,
    /// Seconds in which nobody tries again.
    retry_in: f64,
    /// Whether the row says so.
    recorded: Result<(), StoreError>,
    /// The token set that there is.
    current: Usable,
}

impl NotRefreshed {
    /// For a caller whom the present token set does not serve.
    fn into_error(self) -> Result<TokenError, StoreError> {
        self.recorded?;
        Ok(refused(self.error, self.retry_in))
    }
}

/// Holds the lease: asks the provider and saves what it answers.
async fn lead(
    app: &App,
    provider: &Provider,
    definition: &Definition,
    current: Usable,
    lease: Lease,
) -> Result<Usable, LeadError> {
    let id = current.connection.key.id;
    let mut lost = lease.abandoned || error_of(&current.connection) == RESPONSE_LOST;
    let mut answer = ask(app, provider, definition, &current).await;
    if let Err(TokenEndpointError::Unavailable {
        outcome_unknown,
        retry_after: None,
        ..
    }) = &answer
    {
        // Safe for every kind of refresh token: where it is single-use, asking again at
        // once is the only chance to learn what became of it.
        lost |= *outcome_unknown;
        sleep(SECOND_ATTEMPT).await;
        answer = ask(app, provider, definition, &current).await;
    }
    match answer {
        Ok(tokens) => Ok(save(app, provider, current, tokens).await?),
        Err(TokenEndpointError::DeadGrant { error }) => {
            let single_use = provider.configured().refresh_tokens == RefreshTokens::SingleUse;
            let reason = if lost && single_use {
                "rotation_response_lost"
            } else {
                &error
            };
            Ok(die(app, current, reason).await?)
        }
        Err(error) => {
            if let TokenEndpointError::ClientRefused { error } = &error {
                alert(app, provider, error).await;
            }
            let failures = current.connection.refresh_failures;
            let (code, retry_in) = failure(app, &error, failures, lost);
            tracing::warn!(connection_id = %id, provider = %provider.name, code, %error, "refresh failed");
            let failed = Failed {
                error: &code,
                retry_in,
                of_connection: !matches!(error, TokenEndpointError::ClientRefused { .. }),
            };
            let recorded = lease::record_failure(&app.store, id, lease, &failed).await;
            Err(LeadError::Failed(Box::new(NotRefreshed {
                error,
                retry_in,
                recorded,
                current,
            })))
        }
    }
}

/// Our client is refused, which no connection can help: one event for the provider.
async fn alert(app: &App, provider: &Provider, code: &str) {
    let recorded = connection_events::insert_client_refused(&app.store, &provider.name, code).await;
    if let Err(error) = recorded {
        tracing::warn!(provider = %provider.name, %error, "not recorded");
    }
}

/// `refresh_error` of a refresh that the provider may have carried out unheard.
const RESPONSE_LOST: &str = "response_lost";

fn error_of(connection: &Connection) -> &str {
    connection.refresh_error.as_deref().unwrap_or_default()
}

async fn ask(
    app: &App,
    provider: &Provider,
    definition: &Definition,
    current: &Usable,
) -> Result<TokenSet, TokenEndpointError> {
    let Some(refresh_token) = &current.credentials.refresh_token else {
        return Err(TokenEndpointError::DeadGrant {
            error: "no_refresh_token".to_owned(),
        });
    };
    let scopes = &current.connection.scopes;
    let client = &provider.client;
    let tokens = token::refresh(
        &app.http,
        definition,
        client,
        refresh_token,
        scopes,
        app.now(),
    )
    .await?;
    if is_another(definition, &tokens, current.connection.subject.as_deref()) {
        return Err(TokenEndpointError::Refused {
            error: "another_account".to_owned(),
            status: 200,
        });
    }
    Ok(tokens)
}

/// What goes into `refresh_error`, and the seconds until the next attempt.
fn failure(app: &App, error: &TokenEndpointError, failures: i32, lost: bool) -> (String, f64) {
    const MAX: f64 = 300.0;
    let backoff = (2_f64.powi(failures.clamp(0, 10))).min(MAX) * jitter(app);
    match error {
        TokenEndpointError::Unavailable {
            retry_after,
            outcome_unknown,
            ..
        } => {
            let code = if lost || *outcome_unknown {
                RESPONSE_LOST
            } else {
                "provider_unavailable"
            };
            let asked = retry_after.map_or(0.0, |seconds| seconds.min(3600) as f64);
            (code.to_owned(), backoff.max(asked))
        }
        TokenEndpointError::ClientRefused { error } => (error.clone(), CLIENT_RETRY),
        TokenEndpointError::Refused { error, .. } | TokenEndpointError::DeadGrant { error } => {
            (error.clone(), backoff.max(CLIENT_RETRY))
        }
    }
}

/// A provider whose endpoints are not known cannot be asked.
fn undiscovered(error: &DiscoveryError) -> TokenError {
    TokenError::ProviderUnavailable {
        reason: error.to_string(),
        retry_after: 5,
    }
}

fn refused(error: TokenEndpointError, retry_in: f64) -> TokenError {
    match error {
        TokenEndpointError::ClientRefused { error } => TokenError::ClientRefused { error },
        TokenEndpointError::Refused { error, status } => {
            TokenError::ProviderRefused { error, status }
        }
        TokenEndpointError::DeadGrant { error } => {
            TokenError::ProviderRefused { error, status: 400 }
        }
        TokenEndpointError::Unavailable { reason, .. } => TokenError::ProviderUnavailable {
            reason,
            retry_after: retry_in.ceil() as u64,
        },
    }
}
