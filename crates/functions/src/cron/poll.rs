//! `GET /api/cron/poll`: looks for new messages in every watched mailbox that is due, or has
//! a queue share that out. `POST`: does what a message of the queue asks for.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::time::Instant;

use grantkeep_core::App;
use grantkeep_core::gmail::poll::{self, Polled};
use grantkeep_core::gmail::queue;
use grantkeep_core::store::cron_runs;

use crate::caller::Scheduler;
use crate::extract::Query;
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
    /// Messages that were put into the queue, each for some mailboxes.
    enqueued: u64,
}

pub(super) async fn run(State(app): State<App>, _: Scheduler) -> Result<Response, Problem> {
    match queue::share(&app).await? {
        Some(enqueued) => finish(&app, Polled::default(), enqueued).await,
        None => work(&app, None).await,
    }
}

/// What a message of the queue asks for: `limit` mailboxes at the most.
pub(super) async fn batch(
    State(app): State<App>,
    _: Scheduler,
    query: Query,
) -> Result<Response, Problem> {
    let limit = match query.one("limit")?.map(str::parse::<u64>) {
        None => None,
        Some(Ok(limit @ 1..)) => Some(limit),
        Some(_) => return Err(Problem::invalid("limit", "must be a number above 0")),
    };
    work(&app, limit).await
}

async fn work(app: &App, limit: Option<u64>) -> Result<Response, Problem> {
    let polled = poll::run(app, Instant::now() + BUDGET, limit).await?;
    finish(app, polled, 0).await
}

async fn finish(app: &App, polled: Polled, enqueued: u64) -> Result<Response, Problem> {
    cron_runs::record(&app.store, "poll").await?;

    let done = Done {
        mailboxes: polled.mailboxes,
        messages: polled.messages,
        requests: polled.requests,
        failed: polled.failed,
        dead: polled.dead,
        more: polled.more,
        enqueued,
    };
    Ok(json(StatusCode::OK, &done))
}
