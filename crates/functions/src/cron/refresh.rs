//! `GET /api/cron/refresh`: keeps grants alive and the tables small.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::time::Instant;

use grantkeep_core::App;
use grantkeep_core::store::{cron_runs, prune};
use grantkeep_core::webhooks::{self, Deliveries};

use crate::caller::Scheduler;
use crate::json::json;
use crate::problem::Problem;

/// What one run did, as counts.
#[derive(Serialize)]
struct Done {
    /// Rows that nobody needs any more.
    pruned: i64,
    /// Events that were due for the webhook endpoint.
    webhooks: Deliveries,
}

/// What the job spends: a function has 60 seconds, and the last deliveries of them need 10.
const BUDGET: Duration = Duration::from_secs(45);

pub(super) async fn run(State(app): State<App>, _: Scheduler) -> Result<Response, Problem> {
    let until = Instant::now() + BUDGET;
    let pruned = prune::prune(&app.store).await?;
    // Last, so that what this run found out is told at once.
    let webhooks = webhooks::deliver(&app, until).await?;
    cron_runs::record(&app.store, "refresh").await?;

    Ok(json(StatusCode::OK, &Done { pruned, webhooks }))
}
