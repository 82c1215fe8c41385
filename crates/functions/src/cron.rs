//! `GET /api/cron/…`: what the platform's scheduler runs, one job for each file of `cron/`.

mod poll;
mod refresh;

use axum::Router;
use axum::routing::get;

use grantkeep_core::settings::Need;

use crate::service::{Function, Instance};

/// This function.
pub static FUNCTION: Function = Function {
    name: "cron",
    routes: &[
        ("/api/cron/refresh", &["GET"]),
        ("/api/cron/poll", &["GET", "POST"]),
    ],
    needs: &[Need::CronSecret],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    Router::new()
        .route("/api/cron/refresh", get(refresh::run))
        .route("/api/cron/poll", get(poll::run).post(poll::batch))
}
