//! `GET /api/cron/refresh`: keeps grants alive and the tables small.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use grantkeep_core::App;
use grantkeep_core::store::{cron_runs, prune};

use crate::caller::Scheduler;
use crate::json::json;
use crate::problem::Problem;

/// What one run did, as counts.
#[derive(Serialize)]
struct Done {
    /// Rows that nobody needs any more.
    pruned: i64,
}

pub(super) async fn run(State(app): State<App>, _: Scheduler) -> Result<Response, Problem> {
    let pruned = prune::prune(&app.store).await?;
    cron_runs::record(&app.store, "refresh").await?;

    Ok(json(StatusCode::OK, &Done { pruned }))
}
