//! `GET`, `POST /connect`: the hosted page, every configured provider with its state.

use axum::Router;
use axum::extract::State;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use uuid::Uuid;

use grantkeep_core::App;
use grantkeep_core::connection::ConnectionId;
use grantkeep_core::disconnect::disconnect;
use grantkeep_core::provider::Provider;
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::secret::SessionToken;
use grantkeep_core::session::Session;
use grantkeep_core::settings::Need;
use grantkeep_core::store::oauth_tokens::{self, Connection, Status};

use crate::caller::{browser_session, require_same_origin, session};
use crate::cookies;
use crate::extract::{Form, Query};
use crate::page::{self, Card, CardConnection, Notice};
use crate::problem::{Code, Problem};
use crate::provider_path::connect_url;
use crate::service::{Function, Instance};

/// This function.
pub static FUNCTION: Function = Function {
    name: "connect",
    routes: &[
        ("/connect", &["GET", "POST"]),
        ("/api/connect", &["GET", "POST"]),
    ],
    needs: &[Need::Sessions],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    let methods = || get(show).post(act);
    Router::new()
        .route("/connect", methods())
        .route("/api/connect", methods())
}

async fn show(State(app): State<App>, headers: HeaderMap, query: Query) -> Response {
    match render(&app, &headers, &query).await {
        Ok(response) => response,
        Err(problem) => page::or_problem(&app, &headers, problem, None),
    }
}

async fn render(app: &App, headers: &HeaderMap, query: &Query) -> Result<Response, Problem> {
    if let Some(token) = query.one("session")? {
        return sign_in(app, headers, token);
    }
    let notice = notice(app, query)?;
    let Some(session) = browser_session(app, headers) else {
        // Who came by a connect link has no session here, and still learns how it ended.
        return match notice {
            Some(_) => Ok(page::connect(None, notice, &[])),
            None => Err(Problem::unauthorized(
                "a session is needed: sign in to the application",
            )),
        };
    };
    let owner = &session.owner;
    let rows = oauth_tokens::list(
        &app.store,
        &owner.workspace,
        Some(&owner.actor),
        None,
        None,
        200,
    )
    .await?;
    let cards: Vec<Card> = app
        .settings
        .providers
        .iter()
        .map(|provider| card(app, provider, &rows))
        .collect();
    Ok(page::connect(Some(&owner.actor), notice, &cards))
}

/// Keeps the session in a cookie and takes it out of the address bar. A browser that is
/// signed in as somebody else stays so.
fn sign_in(app: &App, headers: &HeaderMap, token: &str) -> Result<Response, Problem> {
    let session: Session = session(app, token)
        .ok_or_else(|| Problem::unauthorized("the session is not valid or has ended"))?;
    if browser_session(app, headers).is_some_and(|own| own.owner != session.owner) {
        return Err(Problem::new(
            Code::Forbidden,
            "this browser is signed in as somebody else: sign out there first",
        ));
    }
    let cookie = cookies::session(app, &SessionToken::new(token), session.expires_at)?;
    let location = HeaderValue::from_static("/connect");
    Ok((
        StatusCode::SEE_OTHER,
        [(LOCATION, location), (SET_COOKIE, cookie)],
    )
        .into_response())
}

fn card(app: &App, provider: &Provider, rows: &[Connection]) -> Card {
    let connections = rows
        .iter()
        .filter(|row| row.key.provider == provider.name)
        .map(|row| card_connection(app, provider, row))
        .collect();
    Card {
        provider: provider.name.clone(),
        name: provider.display_name().to_owned(),
        connections,
        connect_url: connect_url(app, &provider.name, &ScopeSet::default(), None),
    }
}

fn card_connection(app: &App, provider: &Provider, row: &Connection) -> CardConnection {
    let missing = provider.missing_scopes(&row.scopes, &row.requested_scopes);
    let (state, text) = match row.status {
        Status::Active if missing.is_empty() => ("connected", "Connected".to_owned()),
        Status::Active => (
            "incomplete",
            "Connected, but some permissions were not granted. Reconnect and leave every box ticked."
                .to_owned(),
        ),
        Status::Pending => (
            "pending",
            "Waiting for the application to confirm that this is you.".to_owned(),
        ),
        Status::ReauthorizationRequired => (
            "broken",
            "Access has ended. Reconnect to make it work again.".to_owned(),
        ),
    };
    CardConnection {
        id: row.key.id.to_string(),
        account: row.key.account.clone(),
        state,
        text,
        reconnect_url: connect_url(app, &provider.name, &missing, Some(&row.key.account)),
    }
}

/// How the authorization that led here ended.
fn notice(app: &App, query: &Query) -> Result<Option<Notice>, Problem> {
    let Some(connection) = query.one("connection")? else {
        return Ok(None);
    };
    let name = query
        .one("provider")?
        .and_then(|name| app.settings.providers.find(name))
        .map_or("The service", |provider| provider.display_name());
    let account = query.one("account")?.map_or_else(String::new, |account| {
        let short: String = account
            .chars()
            .filter(|c| !c.is_control())
            .take(100)
            .collect();
        format!(" as {short}")
    });
    Ok(match connection {
        "connected" => Some(Notice {
            kind: "success",
            title: format!("{name} is connected{account}"),
            text: "You can close this page.".to_owned(),
        }),
        "insufficient_scope" => Some(Notice {
            kind: "warning",
            title: format!("{name} is connected{account}, but not everything was allowed"),
            text: "Some things will not work. Reconnect and leave every box ticked.".to_owned(),
        }),
        "pending" => Some(Notice {
            kind: "warning",
            title: format!("{name} is almost connected"),
            text:
                "Go back to the application: it has to confirm that this is you within ten minutes."
                    .to_owned(),
        }),
        "disconnected" => Some(Notice {
            kind: "success",
            title: format!("{name} is disconnected"),
            text: "Its access was deleted here.".to_owned(),
        }),
        "error" => {
            let (title, text) = page::words(error_code(query.one("error")?), name);
            Some(Notice {
                kind: "error",
                title,
                text,
            })
        }
        _ => None,
    })
}

/// The codes that the callback sends here; anything else is somebody's own text.
fn error_code(text: Option<&str>) -> Code {
    [
        Code::AccessDenied,
        Code::AccountMismatch,
        Code::InvalidState,
        Code::ProviderError,
        Code::ProviderUnavailable,
        Code::NotConnected,
    ]
    .into_iter()
    .find(|code| Some(code.as_str()) == text)
    .unwrap_or(Code::Internal)
}

async fn act(State(app): State<App>, headers: HeaderMap, Form(form): Form) -> Response {
    match forget(&app, &headers, &form).await {
        Ok(response) => response,
        Err(problem) => page::or_problem(&app, &headers, problem, None),
    }
}

/// The page's Disconnect button.
async fn forget(app: &App, headers: &HeaderMap, form: &Query) -> Result<Response, Problem> {
    let session = browser_session(app, headers)
        .ok_or_else(|| Problem::unauthorized("a session is needed: sign in to the application"))?;
    require_same_origin(app, &Method::POST, headers)?;
    let id = form
        .one("disconnect")?
        .and_then(|id| Uuid::try_parse(id).ok());
    let id = id.ok_or_else(Problem::not_connected)?;
    let row = oauth_tokens::find_by_id(&app.store, ConnectionId(id))
        .await?
        .filter(|row| row.key.owner == session.owner)
        .ok_or_else(Problem::not_connected)?;
    disconnect(app, &row).await?;

    let target = format!(
        "/connect?connection=disconnected&provider={}",
        row.key.provider
    );
    let location = HeaderValue::from_str(&target)
        .map_err(|_| Problem::new(Code::Internal, "the page could not be reached"))?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response())
}
