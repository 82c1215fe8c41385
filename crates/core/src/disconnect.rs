//! Disconnecting: revoke at the provider where that ends nothing else, then forget.

use std::time::Duration;

use grantkeep_providers::RevocationReach;
use tokio::time::sleep;

use crate::app::App;
use crate::connection::Column;
use crate::credentials::Credentials;
use crate::oauth::revocation::{self, Outcome};
use crate::store::StoreError;
use crate::store::oauth_tokens::{self, Connection, Status, write};

/// Longer than a revocation takes.
const LEASE: f64 = 12.0;

/// What became of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Disconnected {
    /// The provider confirmed that the grant is over.
    pub revoked: bool,
    /// Why not, as a code.
    pub reason: Option<&'static str>,
}

/// Revokes, then deletes. Whatever the provider does, the ciphertext goes.
pub async fn disconnect(app: &App, connection: &Connection) -> Result<Disconnected, StoreError> {
    hold(app, connection).await?;
    let done = match revoke(app, connection).await? {
        None => Disconnected {
            revoked: true,
            reason: None,
        },
        reason => Disconnected {
            revoked: false,
            reason,
        },
    };
    let reason = done.reason.unwrap_or("revoked");
    write::delete(&app.store, connection.key.id, done.revoked, reason).await?;
    Ok(done)
}

/// Waits, not for ever, until no refresh runs beside it: a refresh token that is rotated
/// while it is revoked would live on.
async fn hold(app: &App, connection: &Connection) -> Result<(), StoreError> {
    for _ in 0..20 {
        let holder = app.new_id();
        if write::lease_for_disconnect(&app.store, connection.key.id, holder, LEASE).await? {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// `None` when revoked, else why not.
async fn revoke(app: &App, before: &Connection) -> Result<Option<&'static str>, StoreError> {
    // Read again: a refresh that just ended may have left another token set.
    let Some(connection) = oauth_tokens::find_by_id(&app.store, before.key.id).await? else {
        return Ok(Some("already_gone"));
    };
    if connection.status == Status::ReauthorizationRequired {
        return Ok(Some("grant_already_dead"));
    }
    let Some(provider) = app.settings.providers.find(&connection.key.provider) else {
        return Ok(Some("provider_not_configured"));
    };
    let Some(credentials) = credentials(app, &connection) else {
        return Ok(Some("credentials_unreadable"));
    };
    let Ok(definition) = provider.definition(&app.http).await else {
        return Ok(Some("provider_unavailable"));
    };
    if definition.revocation.reach == RevocationReach::ClientProject {
        let project = connection.client_id.split('-').next().unwrap_or_default();
        if oauth_tokens::shares_grant(&app.store, &connection, project).await? {
            return Ok(Some("shared_with_another_connection"));
        }
    }
    let outcome = revocation::revoke(&app.http, definition, &provider.client, &credentials).await;
    Ok(match outcome {
        Outcome::Revoked => None,
        Outcome::Unsupported => Some("not_supported_by_provider"),
        Outcome::Failed => Some("provider_unavailable"),
    })
}

/// The token set in use, else the one that waits for confirmation.
fn credentials(app: &App, connection: &Connection) -> Option<Credentials> {
    if let Some(sealed) = &connection.sealed {
        let place = connection.key.place(Column::TokenData);
        let plaintext = app.settings.keys.open(sealed, &place).ok()?;
        return Credentials::from_plaintext(&plaintext);
    }
    crate::connect::pending(app, connection).map(|grant| grant.credentials)
}
