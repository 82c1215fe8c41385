//! `/api/connections`: what is connected, and importing more (in `import`).

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use serde::Serialize;
use uuid::Uuid;

use grantkeep_core::App;
use grantkeep_core::connection::{DEFAULT, name};
use grantkeep_core::service_key::Permission;
use grantkeep_core::store::oauth_tokens::{self, Connection, Cursor};

use crate::caller::Caller;
use crate::connection_view::ConnectionView;
use crate::cors;
use crate::extract::Query;
use crate::import;
use crate::json::json;
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

const LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

#[derive(Serialize)]
struct Page {
    connections: Vec<ConnectionView>,
    /// Pass it as `cursor` for what follows; null at the end.
    next: Option<String>,
}

/// A session lists its own connections; a service key those of a workspace, of one
/// actor where it names one.
async fn list(State(app): State<App>, caller: Caller, query: Query) -> Result<Response, Problem> {
    let limit = match query.one("limit")?.map(str::parse::<i64>) {
        None => LIMIT,
        Some(Ok(limit @ 1..=MAX_LIMIT)) => limit,
        Some(_) => return Err(Problem::invalid("limit", "must be a number from 1 to 200")),
    };
    let after = query.one("cursor")?.map(read_cursor).transpose()?;
    let provider = query
        .one("provider")?
        .map(|provider| name("provider", provider))
        .transpose()?;
    let (workspace, actor) = match &caller {
        Caller::Session(session) => (
            session.owner.workspace.clone(),
            Some(session.owner.actor.clone()),
        ),
        Caller::Key(key) => {
            let workspace = name("workspace", query.one("workspace")?.unwrap_or(DEFAULT))?;
            key.require(Permission::Read, &workspace)?;
            (
                workspace,
                query
                    .one("actor")?
                    .map(|actor| name("actor", actor))
                    .transpose()?,
            )
        }
    };

    // One more than asked for tells whether there is a next page.
    let (actor, provider) = (actor.as_deref(), provider.as_deref());
    let mut rows =
        oauth_tokens::list(&app.store, &workspace, actor, provider, after, limit + 1).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or_default());
    let next = rows.last().filter(|_| more).map(write_cursor);
    let connections = rows
        .into_iter()
        .map(|row| ConnectionView::new(&app, row))
        .collect();
    Ok(json(StatusCode::OK, &Page { connections, next }))
}

fn write_cursor(row: &Connection) -> String {
    let mut bytes = row.created_at.timestamp_micros().to_be_bytes().to_vec();
    bytes.extend_from_slice(row.key.id.0.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_cursor(text: &str) -> Result<Cursor, Problem> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (micros, id) = bytes.split_first_chunk::<8>()?;
        Some(Cursor {
            created_at: DateTime::from_timestamp_micros(i64::from_be_bytes(*micros))?,
            id: Uuid::from_slice(id).ok()?,
        })
    };
    read().ok_or_else(|| Problem::invalid("cursor", "must be `next` of an earlier answer"))
}
