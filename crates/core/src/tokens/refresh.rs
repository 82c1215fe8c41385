//! One refresh across all instances: whoever gets the lease asks the provider, the
//! others wait for the row to change or use what still works.

use std::time::Duration;

use chrono::TimeDelta;
use grantkeep_providers::{Definition, RefreshTokens, RevocationReach};
use tokio::time::{Instant, sleep};

use super::pause::{Pause, jitter};
use super::{TokenError, Usable, open};
use crate::app::App;
use crate::connect::is_another;
use crate::connection::Column;
use crate::credentials::Credentials;
use crate::oauth::discovery::DiscoveryError;
use crate::oauth::revocation;
use crate::oauth::token::{self, TIMEOUT, TokenEndpointError, TokenSet};
use crate::provider::Provider;
use crate::store::StoreError;
use crate::store::oauth_tokens::lease::{self, Failed, Lease, Saved};
use crate::store::oauth_tokens::{self, Connection};
use crate::unsaved::Kept;

/// Two attempts at the provider, the save (at most a second of failures and one time-out),
/// and a margin: nobody else may ask the provider before the holder has given up.
const LEASE: Duration = Duration::from_secs(TIMEOUT.as_secs() * 2 + 8);
/// A waiter outlives a holder that died, and the refresh that follows.
const PATIENCE: Duration = Duration::from_secs(LEASE.as_secs() + 10);
/// Callers can make the same connection refresh this often, in seconds.
const FORCED_EVERY: f64 = 10.0;
/// Before the second attempt at the provider.
const SECOND_ATTEMPT: Duration = Duration::from_millis(150);
/// A save that failed within this time is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(1);
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
                    return lead(app, provider, definition, current, lease, serves).await;
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
    if lease::mark_dead(&app.store, id, seen, reason).await? {
        let provider = &current.connection.key.provider;
        tracing::warn!(connection_id = %id, %provider, reason, "reauthorization required");
    }
    // Whatever the row says now: the death, or the winner's token set.
    let row = oauth_tokens::find_by_id(&app.store, id)
        .await?
        .ok_or(TokenError::NotConnected)?;
    open(app, row)
}

/// Holds the lease: asks the provider and saves what it answers.
async fn lead(
    app: &App,
    provider: &Provider,
    definition: &Definition,
    current: Usable,
    lease: Lease,
    serves: bool,
) -> Result<Usable, TokenError> {
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
        Ok(tokens) => save(app, provider, current, tokens).await,
        Err(TokenEndpointError::DeadGrant { error }) => {
            let single_use = provider.configured().refresh_tokens == RefreshTokens::SingleUse;
            let reason = if lost && single_use {
                "rotation_response_lost"
            } else {
                &error
            };
            die(app, current, reason).await
        }
        Err(error) => {
            let failures = current.connection.refresh_failures;
            let (code, retry_in) = failure(app, &error, failures, lost);
            tracing::warn!(connection_id = %id, provider = %provider.name, code, %error, "refresh failed");
            let failed = Failed {
                error: &code,
                retry_in,
            };
            let recorded = lease::record_failure(&app.store, id, lease, &failed).await;
            if serves {
                return Ok(current);
            }
            recorded?;
            Err(refused(error, retry_in))
        }
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

/// The new token set is stored before it is handed out. An outage of the database must
/// not stop mail that could be sent: then it is kept, and handed out as not persisted.
async fn save(
    app: &App,
    provider: &Provider,
    current: Usable,
    tokens: TokenSet,
) -> Result<Usable, TokenError> {
    let Usable {
        connection,
        credentials: old,
        ..
    } = current;
    let until = |seconds: Option<u64>| {
        let seconds = i64::try_from(seconds?).ok()?;
        Some(tokens.requested_at + TimeDelta::seconds(seconds))
    };
    let (expires_at, refresh_expires_at) = (
        until(tokens.expires_in),
        until(tokens.refresh_token_expires_in),
    );
    let scopes = tokens.scope.clone();
    let rotated = tokens.refresh_token.is_some();
    let credentials = old.refreshed(tokens);

    let keys = &app.settings.keys;
    let place = connection.key.place(Column::TokenData);
    let kept = Kept {
        sealed: keys.seal(&credentials.to_plaintext(), &place, app.fill),
        key_id: keys.primary_id().to_string(),
        scopes,
        expires_at,
        refresh_expires_at,
        connection,
    };
    let saved = write(app, &kept).await;
    let id = kept.connection.key.id;
    match saved {
        Ok(Some(saved)) => {
            tracing::info!(connection_id = %id, provider = %provider.name, "refreshed");
            let mut connection = kept.as_connection(saved.now);
            connection.version = saved.version;
            connection.expires_at = saved.expires_at;
            Ok(Usable {
                connection,
                credentials,
                persisted: true,
            })
        }
        // Reconnected or disconnected meanwhile: what is there now counts.
        Ok(None) => match oauth_tokens::find_by_id(&app.store, id).await? {
            Some(row) => open(app, row),
            None => {
                if rotated {
                    end(app, provider, &credentials).await;
                }
                Err(TokenError::NotConnected)
            }
        },
        Err(error) => {
            tracing::error!(connection_id = %id, provider = %provider.name, %error, "refreshed but not saved");
            let connection = kept.as_connection(app.now());
            app.unsaved.keep(kept);
            Ok(Usable {
                connection,
                credentials,
                persisted: false,
            })
        }
    }
}

/// Tries again where the database fails at once, and not where it takes its time: the
/// caller waits, and the lease runs.
async fn write(app: &App, kept: &Kept) -> Result<Option<Saved>, StoreError> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(50);
    for _ in 0..2 {
        match kept.save(&app.store, app.now()).await {
            Err(_) if started.elapsed() < SAVE_AGAIN => sleep(pause).await,
            saved => return saved,
        }
        pause *= 4;
    }
    kept.save(&app.store, app.now()).await
}

/// Ends a token set that nobody will ever find, where that ends nothing else.
async fn end(app: &App, provider: &Provider, credentials: &Credentials) {
    if let Ok(definition) = provider.definition(&app.http).await
        && definition.revocation.reach == RevocationReach::Connection
    {
        revocation::revoke(&app.http, definition, &provider.client, credentials).await;
    }
}
