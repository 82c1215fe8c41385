//! `GET /api/cron/refresh`: keeps grants alive, tells what happened to them, and keeps the
//! tables small.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::time::Instant;

use grantkeep_core::App;
use grantkeep_core::store::{cron_runs, prune};
use grantkeep_core::webhooks::{self, Deliveries};
use grantkeep_core::{refresh_ahead, revocations};

use crate::caller::Scheduler;
use crate::json::json;
use crate::problem::Problem;

/// When no refresh is begun any more; the last one may need 20 seconds, for two attempts at
/// a provider and for saving the outcome.
const REFRESHES: Duration = Duration::from_secs(28);
/// When everything is over: the platform ends an invocation after 60 seconds.
const BUDGET: Duration = Duration::from_secs(54);

/// What one run did, as counts.
#[derive(Serialize)]
struct Done {
    refreshed: u64,
    failed: u64,
    reauthorization_required: u64,
    reauth_due: u64,
    revoked: u64,
    revoke_failed: u64,
    pruned: i64,
    /// Events that were due for the webhook endpoint.
    webhooks: Deliveries,
    more: bool,
}

pub(super) async fn run(State(app): State<App>, _: Scheduler) -> Result<Response, Problem> {
    let began = Instant::now();
    let (refreshes, revocations) = tokio::join!(
        refresh_ahead::run(&app, began + REFRESHES),
        revocations::run(&app, began + REFRESHES),
    );
    let (refreshes, revocations) = (refreshes?, revocations?);
    let reauth_due = refresh_ahead::announce_ends(&app).await?;
    let pruned = prune::prune(&app.store).await?;
    // Last, so that what this run found out is told at once.
    let webhooks = webhooks::deliver(&app, began + BUDGET).await?;
    cron_runs::record(&app.store, "refresh").await?;

    let done = Done {
        refreshed: refreshes.refreshed,
        failed: refreshes.failed,
        reauthorization_required: refreshes.reauthorization_required,
        reauth_due,
        revoked: revocations.revoked,
        revoke_failed: revocations.given_up,
        pruned,
        webhooks,
        more: refreshes.more,
    };
    Ok(json(StatusCode::OK, &done))
}
