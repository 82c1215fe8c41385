//! `GET /api/cron/poll`: looks for new messages in every watched mailbox that is due.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::time::Instant;

use grantkeep_core::App;
use grantkeep_core::gmail::poll;
use grantkeep_core::store::cron_runs;

use crate::caller::Scheduler;
use crate::json::json;
use crate::problem::Problem;

/// Nothing is begun after this. A function may run for 60 seconds on either host; what has
/// begun, a refresh and a request in the worst case, takes 20 at the most.
const BUDGET: Duration = Duration::from_secs(38);

/// What one run did, as counts.
#[derive(Serialize)]
struct Done {
    /// Mailboxes that were polled.
    mailboxes: u64,
    /// Messages that are new in the database.
    messages: u64,
    /// Requests to the providers' APIs.
    requests: u64,
    /// Mailboxes whose poll failed and is tried again later.
    failed: u64,
    /// Of these, mailboxes whose grant turned out to be dead.
    dead: u64,
    /// Some that are due are left for the next run.
    more: bool,
}

pub(super) async fn run(State(app): State<App>, _: Scheduler) -> Result<Response, Problem> {
    let polled = poll::run(&app, Instant::now() + BUDGET, None).await?;
    cron_runs::record(&app.store, "poll").await?;

    let done = Done {
        mailboxes: polled.mailboxes,
        messages: polled.messages,
        requests: polled.requests,
        failed: polled.failed,
        dead: polled.dead,
        more: polled.more,
    };
    Ok(json(StatusCode::OK, &done))
}
