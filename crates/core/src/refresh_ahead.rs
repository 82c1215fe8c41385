//! Refreshing before anybody asks: what expires soon, what failed before, and what would die of
//! not being used. Any number of these runs share the work by the same leases as reads.

mod lane;

use chrono::{DateTime, Utc};
use grantkeep_providers::RefreshTokens;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};

use crate::app::App;
use crate::oauth::TokenEndpointError;
use crate::provider::Provider;
use crate::store::oauth_tokens::Connection;
use crate::store::oauth_tokens::due::{self, Due};
use crate::store::oauth_tokens::lease::Lease;
use crate::store::{StoreError, connection_events};
use crate::tokens::TokenError;
use crate::tokens::refresh::{LEASE, LeadError, refresh_claimed};

use lane::Lane;

/// Refreshes under way at once in one run.
const IN_FLIGHT: usize = 16;

/// What one run did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Done {
    /// Got a new token set, which is saved.
    pub refreshed: u64,
    /// Alive, and to be tried again.
    pub failed: u64,
    /// Found dead.
    pub reauthorization_required: u64,
    /// Time ran out, or a provider asked to wait, before everything that was due had its turn.
    pub more: bool,
}

/// How one refresh ended, as far as the provider's other connections are concerned.
enum Ended {
    /// The provider did its work.
    Refreshed,
    /// The grant is over.
    Dead,
    /// There was nothing to do after all.
    Nothing,
    /// This connection's own fault, or ours.
    Failed,
    /// The provider is down, or has enough; seconds that it asked to wait.
    Unavailable { retry_after: Option<u64> },
    /// The provider refuses our client: every other connection would meet with the same.
    ClientRefused,
}

/// Refreshes what is due and begins nothing after `until`; what was begun ends within
/// twenty seconds. A token set that could not be saved is kept as a read would.
pub async fn run(app: &App, until: Instant) -> Result<Done, StoreError> {
    if !app.unsaved.is_empty() {
        app.unsaved.flush(&app.store, app.now()).await;
    }
    let since = due::now(&app.store).await?;
    let mut run = Run {
        app,
        since,
        lanes: app.settings.providers.iter().map(Lane::new).collect(),
        tasks: JoinSet::new(),
        done: Done::default(),
    };
    let claimed = run.work(until).await;
    // Whatever happened to the claims, nothing that was begun is dropped half-way.
    while let Some(ended) = run.tasks.join_next().await {
        run.note(ended);
    }
    if !app.unsaved.is_empty() {
        app.unsaved.flush(&app.store, app.now()).await;
    }
    claimed?;
    run.done.more = run.lanes.iter().any(Lane::has_more);

    let worked: Vec<&str> = run.lanes.iter().filter_map(Lane::worked).collect();
    if !worked.is_empty() {
        connection_events::insert_client_accepted(&app.store, &worked).await?;
    }
    Ok(run.done)
}

struct Run<'a> {
    app: &'a App,
    since: DateTime<Utc>,
    lanes: Vec<Lane<'a>>,
    tasks: JoinSet<(String, Ended)>,
    done: Done,
}

impl Run<'_> {
    async fn work(&mut self, until: Instant) -> Result<(), StoreError> {
        loop {
            if Instant::now() < until {
                self.begin_more().await?;
            }
            if let Some(ended) = self.tasks.join_next().await {
                self.note(ended);
                continue;
            }
            // Nothing is under way: done, or every provider that has more asked to wait.
            let resumes = self.lanes.iter().filter_map(Lane::resumes).min();
            match resumes.filter(|at| *at < until) {
                Some(at) => sleep(at.saturating_duration_since(Instant::now())).await,
                None => return Ok(()),
            }
        }
    }

    /// Claims as much as there is room for, fairly among providers.
    async fn begin_more(&mut self) -> Result<(), StoreError> {
        let open = self.lanes.iter().filter(|lane| lane.is_open()).count();
        let share = IN_FLIGHT.div_ceil(open.max(1));
        for lane in &mut self.lanes {
            loop {
                let free = IN_FLIGHT.saturating_sub(self.tasks.len());
                let Some((due, room)) = lane.next(share, free, self.since) else {
                    break;
                };
                // Before the claim: the lease has no time for an issuer that answers slowly.
                if lane.provider.definition(&self.app.http).await.is_err() {
                    lane.stop();
                    break;
                }
                let claimed = claim(self.app, &due, room).await?;
                lane.began(claimed.len(), room);
                for (connection, lease) in claimed {
                    let app = self.app.clone();
                    self.tasks.spawn(async move {
                        let provider = connection.key.provider.clone();
                        let ended = refresh(&app, connection, lease).await;
                        (provider, ended)
                    });
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, ended: Result<(String, Ended), JoinError>) {
        // A refresh that panicked; its lease runs out by itself.
        let Ok((provider, ended)) = ended else {
            self.done.failed += 1;
            return;
        };
        match ended {
            Ended::Nothing => {}
            Ended::Refreshed => self.done.refreshed += 1,
            Ended::Dead => self.done.reauthorization_required += 1,
            Ended::Failed | Ended::Unavailable { .. } | Ended::ClientRefused => {
                self.done.failed += 1;
            }
        }
        let mut lanes = self.lanes.iter_mut();
        if let Some(lane) = lanes.find(|lane| lane.provider.name == provider) {
            lane.ended(&ended);
        }
    }
}

async fn claim(
    app: &App,
    due: &Due<'_>,
    room: usize,
) -> Result<Vec<(Connection, Lease)>, StoreError> {
    let limit = i64::try_from(room).unwrap_or(i64::MAX);
    due::claim(&app.store, due, app.new_id(), LEASE.as_secs_f64(), limit).await
}

async fn refresh(app: &App, connection: Connection, lease: Lease) -> Ended {
    let Some(provider) = app.settings.providers.find(&connection.key.provider) else {
        return Ended::Failed;
    };
    let Ok(definition) = provider.definition(&app.http).await else {
        return Ended::Failed;
    };
    let (id, seen) = (connection.key.id, connection.version);
    match refresh_claimed(app, provider, definition, connection, lease).await {
        Ok(usable) if !usable.persisted => Ended::Failed,
        Ok(usable) if usable.connection.version == seen => Ended::Nothing,
        Ok(_) => Ended::Refreshed,
        Err(LeadError::Failed(failed)) => match failed.error {
            TokenEndpointError::Unavailable { retry_after, .. } => {
                Ended::Unavailable { retry_after }
            }
            TokenEndpointError::ClientRefused { .. } => Ended::ClientRefused,
            TokenEndpointError::Refused { .. } | TokenEndpointError::DeadGrant { .. } => {
                Ended::Failed
            }
        },
        Err(LeadError::Token(TokenError::ReauthorizationRequired { .. })) => Ended::Dead,
        // Disconnected meanwhile.
        Err(LeadError::Token(TokenError::NotConnected)) => Ended::Nothing,
        Err(LeadError::Token(error)) => {
            tracing::warn!(connection_id = %id, %error, "not refreshed ahead");
            Ended::Failed
        }
    }
}

/// Writes an event for each grant whose end is near and which no refresh can keep; how many.
/// Where refresh tokens are replaced, their end moves with every refresh, unless the
/// definition says how long all of them together live.
pub async fn announce_ends(app: &App) -> Result<u64, StoreError> {
    let fixed = |provider: &&Provider| {
        let definition = provider.configured();
        definition.refresh_tokens == RefreshTokens::Keep
            || definition.refresh_token_lifetime.is_some()
    };
    let providers: Vec<&str> = app
        .settings
        .providers
        .iter()
        .filter(fixed)
        .map(|provider| provider.name.as_str())
        .collect();
    due::announce_ends(&app.store, &providers).await
}
