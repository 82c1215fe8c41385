//! Revocations that a provider did not take when its connection was disconnected: tried
//! again for a day, then given up. Never one that would end a connection made since.

use std::time::Duration;

use grantkeep_providers::RevocationReach;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::app::App;
use crate::connection::Column;
use crate::credentials::Credentials;
use crate::oauth::revocation::{self, Outcome};
use crate::store::StoreError;
use crate::store::oauth_tokens::{self, Grantor};
use crate::store::pending_revocations::{self, Pending};
use crate::tokens::pause::jitter;

/// So many are under way at once.
const BATCH: i64 = 16;
/// Longer than an attempt takes.
const LEASE: Duration = Duration::from_secs(20);
/// Seconds from the first attempt to the second; doubled after each, up to [`MAX_WAIT`].
const FIRST_WAIT: f64 = 60.0;
const MAX_WAIT: f64 = 3600.0;

/// What one run did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Done {
    /// The provider confirmed that the grant is over.
    pub revoked: u64,
    /// Given up, with an event that says why.
    pub given_up: u64,
}

/// How one attempt ended.
enum Ended {
    Revoked,
    /// There is no use in trying again; why.
    Never(&'static str),
    /// Seconds that the provider asked to wait.
    Later(Option<u64>),
}

/// Tries what is due and begins nothing after `until`.
pub async fn run(app: &App, until: Instant) -> Result<Done, StoreError> {
    let mut done = Done::default();
    while Instant::now() < until {
        let due = pending_revocations::claim(&app.store, BATCH, LEASE.as_secs_f64()).await?;
        if due.is_empty() {
            break;
        }
        let mut tasks = JoinSet::new();
        for pending in due {
            let app = app.clone();
            tasks.spawn(async move { one(&app, &pending).await });
        }
        while let Some(ended) = tasks.join_next().await {
            // One that panicked is due again after its lease.
            let Ok(ended) = ended else { continue };
            match ended? {
                Some(true) => done.revoked += 1,
                Some(false) => done.given_up += 1,
                None => {}
            }
        }
    }
    Ok(done)
}

/// Whether it was revoked; `None` when it will be tried again.
async fn one(app: &App, pending: &Pending) -> Result<Option<bool>, StoreError> {
    let key = &pending.key;
    let reason = match attempt(app, pending).await? {
        Ended::Revoked => None,
        Ended::Never(reason) => Some(reason),
        Ended::Later(_) if pending.last => Some("provider_unavailable"),
        Ended::Later(asked) => {
            let wait = wait(app, pending.attempts, asked);
            pending_revocations::put_off(&app.store, key.id, wait).await?;
            return Ok(None);
        }
    };
    let provider = &key.provider;
    match reason {
        None => tracing::info!(connection_id = %key.id, %provider, "revoked late"),
        Some(reason) => {
            tracing::warn!(connection_id = %key.id, %provider, reason, "not revoked");
        }
    }
    pending_revocations::finish(&app.store, key.id, reason).await?;
    Ok(Some(reason.is_none()))
}

async fn attempt(app: &App, pending: &Pending) -> Result<Ended, StoreError> {
    let Some(provider) = app.settings.providers.find(&pending.key.provider) else {
        return Ok(Ended::Never("provider_not_configured"));
    };
    let place = pending.key.place(Column::PendingRevocation);
    let opened = app.settings.keys.open(&pending.sealed, &place).ok();
    let credentials = opened.and_then(|plaintext| Credentials::from_plaintext(&plaintext));
    let Some(credentials) = credentials else {
        return Ok(Ended::Never("credentials_unreadable"));
    };
    let Ok(definition) = provider.definition(&app.http).await else {
        return Ok(Ended::Later(None));
    };
    // Asked now, not when it was queued: the user may have connected again since.
    if definition.revocation.reach == RevocationReach::ClientProject {
        let grantor = Grantor {
            key: &pending.key,
            subject: pending.subject.as_deref(),
            client_id: &pending.client_id,
        };
        if oauth_tokens::shares_grant(&app.store, &grantor).await? {
            return Ok(Ended::Never("shared_with_another_connection"));
        }
    }
    let client = &provider.client;
    let outcome = revocation::revoke(&app.http, definition, client, &credentials, app.now()).await;
    Ok(match outcome {
        Outcome::Revoked => Ended::Revoked,
        Outcome::Unsupported => Ended::Never("not_supported_by_provider"),
        Outcome::Refused => Ended::Never("provider_refused"),
        Outcome::Unavailable { retry_after } => Ended::Later(retry_after),
    })
}

/// Seconds until the next attempt, after so many of them.
pub(crate) fn wait(app: &App, attempts: i32, asked: Option<u64>) -> f64 {
    let wait = FIRST_WAIT * 2_f64.powi(attempts.clamp(0, 10));
    let asked = asked.map_or(0.0, |seconds| seconds.min(86_400) as f64);
    (wait.min(MAX_WAIT) * jitter(app)).max(asked)
}
