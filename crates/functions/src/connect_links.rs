//! `POST /api/connect-links`: a link that a host application redirects its user to.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde::{Deserialize, Serialize};

use grantkeep_core::App;
use grantkeep_core::connect;
use grantkeep_core::connection::Owner;
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::service_key::Permission;
use grantkeep_core::settings::Need;

use crate::authorize::check_return_to;
use crate::caller::ServiceKey;
use crate::extract::Json;
use crate::json::{json, rfc3339};
use crate::problem::Problem;
use crate::provider_path;
use crate::service::{Function, Instance, Noted};

/// This function.
pub static FUNCTION: Function = Function {
    name: "connect-links",
    routes: &[("/api/connect-links", &["POST"])],
    needs: &[Need::ServiceKeys],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    Router::new().route("/api/connect-links", post(create))
}

#[derive(Deserialize)]
struct Ask {
    provider: String,
    workspace: Option<String>,
    actor: Option<String>,
    return_to: Option<String>,
    scope: Option<String>,
    /// Whoever opens the link could be somebody else than the actor.
    #[serde(default = "yes")]
    confirm: bool,
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
struct Answer {
    url: String,
    expires_at: String,
}

async fn create(
    State(app): State<App>,
    key: ServiceKey,
    Json(ask): Json<Ask>,
) -> Result<Response, Problem> {
    let owner = Owner::new(ask.workspace.as_deref(), ask.actor.as_deref())?;
    key.require(Permission::Write, &owner.workspace)?;
    let provider = provider_path::find(&app, &ask.provider)?;
    check_return_to(&app, ask.return_to.as_deref())?;
    let scopes = ask
        .scope
        .as_deref()
        .map(ScopeSet::parse)
        .unwrap_or_default();
    if !scopes.iter().all(|scope| provider.allows_scope(scope)) {
        return Err(Problem::invalid(
            "scope",
            "holds a scope that may not be asked for here",
        ));
    }

    let (link, token) = connect::create_link(
        &app,
        &provider.name,
        owner,
        ask.return_to,
        scopes,
        ask.confirm,
    );
    let origin = app.settings.public_url.origin();
    let url = format!(
        "{origin}/api/oauth/{}/authorize?link={}",
        provider.name,
        token.expose()
    );
    let expires_at = rfc3339(link.expires_at);
    let mut response = json(StatusCode::OK, &Answer { url, expires_at });
    response.extensions_mut().insert(Noted {
        provider: Some(provider.name.clone()),
        key: Some(key.0.name),
        ..Noted::default()
    });
    Ok(response)
}
