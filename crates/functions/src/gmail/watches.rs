//! `GET`, `POST`, `DELETE /api/gmail/watches`: what to look for in which mailbox.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use grantkeep_core::App;
use grantkeep_core::connection::name;
use grantkeep_core::gmail::watches::{self, WatchError};
use grantkeep_core::service_key::Permission;
use grantkeep_core::store::gmail_watches::{self, Filter, Watch};
use grantkeep_core::store::oauth_tokens::{self, Connection, Status};
use grantkeep_core::tokens::TokenError;

use super::mailbox;
use crate::caller::{Caller, Reach, owner_of};
use crate::connection;
use crate::extract::{Json, Query};
use crate::json::{json, rfc3339};
use crate::paging::Paging;
use crate::problem::Problem;
use crate::provider_path;
use crate::service::Noted;

/// The JSON of a watch. Instants are RFC 3339, absent ones null.
#[derive(Serialize)]
struct View {
    id: String,
    connection_id: String,
    provider: String,
    workspace: String,
    actor: String,
    account: String,
    query: String,
    listed: bool,
    last_polled_at: Option<String>,
    next_poll_at: String,
    error: Option<String>,
    created_at: String,
}

impl From<Watch> for View {
    fn from(watch: Watch) -> Self {
        Self {
            id: watch.id.to_string(),
            connection_id: watch.key.id.to_string(),
            provider: watch.key.provider,
            workspace: watch.key.owner.workspace,
            actor: watch.key.owner.actor,
            account: watch.key.account,
            query: watch.query,
            listed: watch.listed,
            last_polled_at: watch.polled_at.map(rfc3339),
            next_poll_at: rfc3339(watch.next_poll_at),
            error: watch.error,
            created_at: rfc3339(watch.created_at),
        }
    }
}

#[derive(Serialize)]
struct Page {
    watches: Vec<View>,
    /// Pass it as `cursor` for what follows; null at the end.
    next: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Response, Problem> {
    let paging = Paging::of(&query)?;
    let Reach { workspace, actor } = Reach::of(&caller, &query)?;
    let (provider, account) = (query.name("provider")?, query.name("account")?);
    let filter = Filter {
        workspace: &workspace,
        actor: actor.as_deref(),
        provider: provider.as_deref(),
        account: account.as_deref(),
        connection: query.id("connection_id")?,
    };

    let mut rows = gmail_watches::list(&app.store, &filter, paging.after, paging.fetch()).await?;
    let next = paging.cut(&mut rows, |row| (row.created_at, row.id));
    let watches = rows.into_iter().map(View::from).collect();
    Ok(json(StatusCode::OK, &Page { watches, next }))
}

/// What to watch for, and where. A misspelt field is an error: without its `account` a watch
/// is another one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    connection_id: Option<Uuid>,
    provider: Option<String>,
    workspace: Option<String>,
    actor: Option<String>,
    account: Option<String>,
    query: Option<String>,
    sender: Option<String>,
}

/// 201 for a new watch, 200 for one that was there.
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(ask): Json<Ask>,
) -> Result<Response, Problem> {
    if let Caller::Key(key) = &caller {
        key.require_permission(Permission::Write)?;
    }
    let query = match (&ask.query, &ask.sender) {
        (Some(query), None) => {
            watches::checked(query).map_err(|error| Problem::invalid("query", error.to_string()))?
        }
        (None, Some(sender)) => watches::from_sender(sender)
            .map_err(|error| Problem::invalid("sender", error.to_string()))?,
        _ => return Err(Problem::invalid("query", "give either query or sender")),
    };
    let row = match ask.connection_id {
        Some(id) => connection::find(&app, &caller, Permission::Write, &id.to_string()).await?,
        None => named(&app, &caller, &ask).await?,
    };
    let api = mailbox(&app, &row.key.provider)?;
    let provider = api.provider;
    if row.status == Status::ReauthorizationRequired {
        let error = TokenError::ReauthorizationRequired {
            reason: row.status_reason.unwrap_or_default(),
            since: row.status_since,
            account: row.key.account,
        };
        return Err(of_token(&app, &provider.name, error));
    }

    let (watch, new) = match watches::begin(&app, &api, &row, &query).await {
        Ok(begun) => begun,
        Err(error) => return Err(refused(&app, &row, error)),
    };
    let status = match new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let mut response = json(status, &View::from(watch));
    response.extensions_mut().insert(noted(&caller, &row));
    Ok(response)
}

/// The connection that the body names by its owner.
async fn named(app: &App, caller: &Caller, ask: &Ask) -> Result<Connection, Problem> {
    let owner = owner_of(caller, ask.workspace.as_deref(), ask.actor.as_deref())?;
    if let Caller::Key(key) = caller {
        key.require(Permission::Write, &owner.workspace)?;
    }
    let missing = || Problem::invalid("provider", "is missing: give it, or connection_id");
    let provider = provider_path::find(app, ask.provider.as_deref().ok_or_else(missing)?)?;
    let account = ask.account.as_deref();
    let account = account
        .map(|account| name("account", account))
        .transpose()?;

    let mut found =
        oauth_tokens::find(&app.store, &provider.name, &owner, account.as_deref()).await?;
    found.retain(|row| row.status != Status::Pending);
    match found.len() {
        1 => {}
        0 => return Err(of_token(app, &provider.name, TokenError::NotConnected)),
        _ => {
            let accounts = found.into_iter().map(|row| row.key.account).collect();
            let error = TokenError::AmbiguousAccount { accounts };
            return Err(of_token(app, &provider.name, error));
        }
    }
    Ok(found.remove(0))
}

fn of_token(app: &App, provider: &str, error: TokenError) -> Problem {
    Problem::of_token(error, |scopes, account| {
        provider_path::connect_url(app, provider, scopes, account)
    })
}

fn refused(app: &App, row: &Connection, error: WatchError) -> Problem {
    match error {
        WatchError::InsufficientScope { missing } => {
            let error = TokenError::InsufficientScope {
                missing,
                granted: row.scopes.clone(),
                account: row.key.account.clone(),
            };
            of_token(app, &row.key.provider, error)
        }
        WatchError::MetadataGranted => Problem::invalid(
            "connection_id",
            "was also granted gmail.metadata, with which searches are refused: disconnect it, and \
             connect again without that scope",
        ),
        WatchError::TooMany => Problem::invalid(
            "query",
            format!(
                "is one too many: a mailbox can have {} watches; delete one first",
                watches::MAX_WATCHES
            ),
        ),
        WatchError::Gone => Problem::not_connected(),
        WatchError::Store(error) => error.into(),
    }
}

#[derive(Serialize)]
struct Gone {
    deleted: bool,
}

/// What it found stays stored. Somebody else's watch looks like one that is not there.
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Response, Problem> {
    if let Caller::Key(key) = &caller {
        key.require_permission(Permission::Write)?;
    }
    let id = query.id("id")?;
    let id = id.ok_or_else(|| Problem::invalid("id", "is missing: name the watch"))?;
    let watch = gmail_watches::find_by_id(&app.store, id).await?;
    let reached = watch.filter(|watch| match &caller {
        Caller::Key(key) => key.0.reaches(&watch.key.owner.workspace),
        Caller::Session(session) => session.owner == watch.key.owner,
    });
    let deleted = match reached {
        Some(watch) => gmail_watches::delete(&app.store, watch.id).await?,
        None => false,
    };
    Ok(json(StatusCode::OK, &Gone { deleted }))
}

fn noted(caller: &Caller, row: &Connection) -> Noted {
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
