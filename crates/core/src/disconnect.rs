//! Disconnecting: revoke at the provider where that ends nothing else, then forget. A
//! provider that cannot be told now is told later, by [`crate::revocations`].

use std::time::Duration;

use grantkeep_providers::RevocationReach;
use tokio::time::sleep;

use crate::app::App;
use crate::connection::Column;
use crate::credentials::Credentials;
use crate::oauth::revocation::{self, Outcome};
use crate::revocations;
use crate::store::oauth_tokens::{self, Connection, Grantor, Status, write};
use crate::store::{StoreError, pending_revocations};

/// Longer than a revocation takes.
const LEASE: f64 = 12.0;

/// What became of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Disconnected {
    /// The provider confirmed that the grant is over.
    pub revoked: bool,
    /// Why not, as a code; `queued` where it is tried again.
    pub reason: Option<&'static str>,
}

/// How the attempt to revoke ended.
enum Ended {
    Revoked,
    Not(&'static str),
    /// The provider cannot be told now; seconds that it asked to wait.
    Later(Box<Credentials>, Option<u64>),
}

/// Revokes, then deletes. Whatever the provider does, the connection goes with its
/// ciphertext.
pub async fn disconnect(app: &App, connection: &Connection) -> Result<Disconnected, StoreError> {
    hold(app, connection).await?;
    let reason = match revoke(app, connection).await? {
        Ended::Revoked => None,
        Ended::Not(reason) => Some(reason),
        Ended::Later(credentials, asked) => {
            queue(app, connection, &credentials, asked).await?;
            return Ok(Disconnected {
                revoked: false,
                reason: Some("queued"),
            });
        }
    };
    let (key, revoked) = (&connection.key, reason.is_none());
    write::delete(&app.store, key, revoked, reason.unwrap_or("revoked")).await?;
    Ok(Disconnected { revoked, reason })
}

async fn queue(
    app: &App,
    connection: &Connection,
    credentials: &Credentials,
    asked: Option<u64>,
) -> Result<(), StoreError> {
    let keys = &app.settings.keys;
    let place = connection.key.place(Column::PendingRevocation);
    let sealed = keys.seal(&credentials.to_plaintext(), &place, app.fill);
    let key_id = keys.primary_id().to_string();
    let wait = revocations::wait(app, 0, asked);
    pending_revocations::queue(&app.store, &connection.key, &sealed, &key_id, wait).await
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

async fn revoke(app: &App, before: &Connection) -> Result<Ended, StoreError> {
    // Read again: a refresh that just ended may have left another token set.
    let Some(connection) = oauth_tokens::find_by_id(&app.store, before.key.id).await? else {
        return Ok(Ended::Not("already_gone"));
    };
    if connection.status == Status::ReauthorizationRequired {
        return Ok(Ended::Not("grant_already_dead"));
    }
    let Some(provider) = app.settings.providers.find(&connection.key.provider) else {
        return Ok(Ended::Not("provider_not_configured"));
    };
    let Some(credentials) = credentials(app, &connection) else {
        return Ok(Ended::Not("credentials_unreadable"));
    };
    let Ok(definition) = provider.definition(&app.http).await else {
        return Ok(Ended::Later(Box::new(credentials), None));
    };
    if definition.revocation.reach == RevocationReach::ClientProject {
        let grantor = Grantor {
            key: &connection.key,
            subject: connection.subject.as_deref(),
            client_id: &connection.client_id,
        };
        if oauth_tokens::shares_grant(&app.store, &grantor).await? {
            return Ok(Ended::Not("shared_with_another_connection"));
        }
    }
    let client = &provider.client;
    let outcome = revocation::revoke(&app.http, definition, client, &credentials, app.now()).await;
    Ok(match outcome {
        Outcome::Revoked => Ended::Revoked,
        Outcome::Unsupported => Ended::Not("not_supported_by_provider"),
        Outcome::Refused => Ended::Not("provider_refused"),
        Outcome::Unavailable { retry_after } => Ended::Later(Box::new(credentials), retry_after),
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
