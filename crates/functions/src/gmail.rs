//! `/api/gmail/…`: what people connect a mailbox for, one resource for each file of `gmail/`.

mod problem;
mod send;

use axum::Router;
use axum::routing::post;

use grantkeep_core::App;
use grantkeep_core::gmail::Api;
use grantkeep_core::settings::Need;

use crate::problem::Problem;
use crate::provider_path;
use crate::service::{Function, Instance};

/// This function.
pub static FUNCTION: Function = Function {
    name: "gmail",
    routes: &[("/api/gmail/send", &["POST"])],
    needs: &[Need::ServiceKeys],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    Router::new().route("/api/gmail/send", post(send::send))
}

/// The mail API of a configured provider.
fn mailbox<'a>(app: &'a App, provider: &str) -> Result<Api<'a>, Problem> {
    let provider = provider_path::find(app, provider)?;
    Api::of(provider)
        .ok_or_else(|| Problem::invalid("provider", "has no mailbox that can be used from here"))
}
