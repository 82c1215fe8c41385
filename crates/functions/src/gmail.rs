//! `/api/gmail/…`: what people connect a mailbox for, one resource for each file of `gmail/`.

mod messages;
mod problem;
mod send;
mod watches;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};

use grantkeep_core::App;
use grantkeep_core::gmail::Api;
use grantkeep_core::settings::Need;

use crate::cors;
use crate::problem::Problem;
use crate::provider_path;
use crate::service::{Function, Instance};

/// This function.
pub static FUNCTION: Function = Function {
    name: "gmail",
    routes: &[
        ("/api/gmail/send", &["POST"]),
        ("/api/gmail/watches", &["GET", "POST", "DELETE"]),
        ("/api/gmail/messages", &["GET"]),
    ],
    needs: &[Need::ServiceKeys],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    let watches = get(watches::list)
        .post(watches::create)
        .delete(watches::delete);
    Router::new()
        .route("/api/gmail/watches", watches.options(cors::preflight))
        .route(
            "/api/gmail/messages",
            get(messages::list).options(cors::preflight),
        )
        .route_layer(middleware::map_response(cors::for_pages))
        .route("/api/gmail/send", post(send::send))
}

/// The mail API of a configured provider.
fn mailbox<'a>(app: &'a App, provider: &str) -> Result<Api<'a>, Problem> {
    let provider = provider_path::find(app, provider)?;
    Api::of(provider)
        .ok_or_else(|| Problem::invalid("provider", "has no mailbox that can be used from here"))
}
