//! `GET`, `DELETE`, `PATCH /api/connections/{id}`: show, disconnect, confirm.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use grantkeep_core::App;
use grantkeep_core::connect;
use grantkeep_core::connection::ConnectionId;
use grantkeep_core::disconnect::disconnect;
use grantkeep_core::service_key::Permission;
use grantkeep_core::store::oauth_tokens::{self, Connection};

use crate::caller::{Caller, ServiceKey};
use crate::connection_view::ConnectionView;
use crate::cors;
use crate::extract::{Json, Path};
use crate::json::json;
use crate::problem::Problem;
use crate::service::{Function, Instance, Noted};

/// This function.
pub static FUNCTION: Function = Function {
    name: "connections-id",
    routes: &[("/api/connections/{id}", &["GET", "DELETE", "PATCH"])],
    needs: &[],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    let methods = get(show)
        .delete(forget)
        .patch(confirm)
        .options(cors::preflight);
    Router::new()
        .route("/api/connections/{id}", methods)
        .route_layer(middleware::map_response(cors::for_pages))
}

async fn show(State(app): State<App>, caller: Caller, Path(id): Path) -> Result<Response, Problem> {
    let row = find(&app, &caller, Permission::Read, &id).await?;
    let noted = noted(&row, &caller);

    let mut response = json(StatusCode::OK, &ConnectionView::new(&app, row));
    response.extensions_mut().insert(noted);
    Ok(response)
}

#[derive(Serialize)]
struct Gone {
    revoked: bool,
    reason: Option<&'static str>,
    deleted: bool,
}

async fn forget(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path,
) -> Result<Response, Problem> {
    let row = find(&app, &caller, Permission::Write, &id).await?;
    let done = disconnect(&app, &row).await?;

    let gone = Gone {
        revoked: done.revoked,
        reason: done.reason,
        deleted: true,
    };
    let mut response = json(StatusCode::OK, &gone);
    response.extensions_mut().insert(noted(&row, &caller));
    Ok(response)
}

#[derive(Deserialize)]
struct Change {
    status: Wanted,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    Active,
}

/// Only the host application knows who is logged in where the browser came back to.
async fn confirm(
    State(app): State<App>,
    key: ServiceKey,
    Path(id): Path,
    Json(Change {
        status: Wanted::Active,
    }): Json<Change>,
) -> Result<Response, Problem> {
    let caller = Caller::Key(key);
    let row = find(&app, &caller, Permission::Write, &id).await?;
    let row = connect::confirm(&app, &row).await?;
    let noted = noted(&row, &caller);

    let mut response = json(StatusCode::OK, &ConnectionView::new(&app, row));
    response.extensions_mut().insert(noted);
    Ok(response)
}

/// A connection that this caller may know of; what belongs to others looks like what
/// is not there.
pub(crate) async fn find(
    app: &App,
    caller: &Caller,
    permission: Permission,
    id: &str,
) -> Result<Connection, Problem> {
    if let Caller::Key(key) = caller {
        key.require_permission(permission)?;
    }
    let id = Uuid::try_parse(id).map_err(|_| Problem::not_connected())?;
    let row = oauth_tokens::find_by_id(&app.store, ConnectionId(id)).await?;
    row.filter(|row| match caller {
        Caller::Key(key) => key.0.reaches(&row.key.owner.workspace),
        Caller::Session(session) => session.owner == row.key.owner,
    })
    .ok_or_else(Problem::not_connected)
}

fn noted(row: &Connection, caller: &Caller) -> Noted {
    Noted {
        provider: Some(row.key.provider.clone()),
        connection: Some(row.key.id.to_string()),
        key: match caller {
            Caller::Key(key) => Some(key.0.name.clone()),
            Caller::Session(_) => None,
        },
        token: None,
    }
}
