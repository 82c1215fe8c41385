//! What a refresh gave goes into the row before anybody gets it.

use std::time::Duration;

use chrono::TimeDelta;
use grantkeep_providers::RevocationReach;
use tokio::time::{Instant, sleep};

use super::{TokenError, Usable, open};
use crate::app::App;
use crate::connection::Column;
use crate::credentials::Credentials;
use crate::oauth::revocation;
use crate::oauth::token::TokenSet;
use crate::provider::Provider;
use crate::store::StoreError;
use crate::store::oauth_tokens;
use crate::store::oauth_tokens::lease::Saved;
use crate::unsaved::Kept;

/// A save that failed within this time is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(1);

/// The new token set is stored before it is handed out. An outage of the database must
/// not stop mail that could be sent: then it is kept, and handed out as not persisted.
pub(super) async fn save(
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
        let client = &provider.client;
        revocation::revoke(&app.http, definition, client, credentials, app.now()).await;
    }
}
