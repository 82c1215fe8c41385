//! `/api/connections`: what is connected, and importing more (in `import`).

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use grantkeep_core::App;
use grantkeep_core::store::oauth_tokens;

use crate::caller::{Caller, Reach};
use crate::connection_view::ConnectionView;
use crate::cors;
use crate::extract::Query;
use crate::import;
use crate::json::json;
use crate::paging::Paging;
use crate::problem::Problem;
use crate::service::{Function, Instance};

/// This function.
pub static FUNCTION: Function = Function {
    name: "connections",
    routes: &[("/api/connections", &["GET", "POST"])],
    needs: &[],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    Router::new()
        .route(
            "/api/connections",
            get(list).post(import::create).options(cors::preflight),
        )
        .route_layer(middleware::map_response(cors::for_pages))
}

#[derive(Serialize)]
struct Page {
    connections: Vec<ConnectionView>,
    /// Pass it as `cursor` for what follows; null at the end.
    next: Option<String>,
}

/// A session lists its own connections; a service key those of a workspace, of one
/// actor where it names one.
async fn list(State(app): State<App>, caller: Caller, query: Query) -> Result<Response, Problem> {
    let paging = Paging::of(&query)?;
    let provider = query.name("provider")?;
    let Reach { workspace, actor } = Reach::of(&caller, &query)?;

    let (actor, provider) = (actor.as_deref(), provider.as_deref());
    let (after, limit) = (paging.after, paging.fetch());
    let mut rows =
        oauth_tokens::list(&app.store, &workspace, actor, provider, after, limit).await?;
    let next = paging.cut(&mut rows, |row| (row.created_at, row.key.id.0));
    let connections = rows
        .into_iter()
        .map(|row| ConnectionView::new(&app, row))
        .collect();
    Ok(json(StatusCode::OK, &Page { connections, next }))
}
