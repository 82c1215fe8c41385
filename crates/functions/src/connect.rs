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
use grantkeep_core::return_to::with_query;
use grantkeep_core::secret::SessionToken;
use grantkeep_core::session::Session;
use grantkeep_core::settings::Need;
use grantkeep_core::store::oauth_tokens;

use crate::caller::{browser_session, require_same_origin, session};
use crate::cookies;
use crate::extract::{Form, Query};
use crate::page;
use crate::page::card::cards;
use crate::page::notice::{access, notice};
use crate::page::words::Wanted;
use crate::problem::{Code, Problem};
use crate::service::{Function, Instance, Noted};

/// Connections that the page shows, the oldest.
const MOST: i64 = 200;

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
        Err(problem) => page::or_problem(&app, &headers, problem, Wanted::Look).await,
    }
}

async fn render(app: &App, headers: &HeaderMap, query: &Query) -> Result<Response, Problem> {
    if let Some(token) = query.one("session")? {
        return sign_in(app, headers, token).await;
    }
    let Some(session) = browser_session(app, headers).await? else {
        // Who came by a connect link has no session here, and still learns how it ended.
        return match notice(app, query, &[])? {
            Some(notice) => Ok(page::connect(None, Some(notice), &[])),
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
        MOST,
    )
    .await?;
    let notice = notice(app, query, &rows)?;
    Ok(page::connect(Some(owner), notice, &cards(app, &rows)))
}

/// Keeps the session in a cookie and takes it out of the address bar. A browser that is
/// signed in as somebody else stays so.
async fn sign_in(app: &App, headers: &HeaderMap, token: &str) -> Result<Response, Problem> {
    let session: Session = session(app, token)
        .await?
        .ok_or_else(|| Problem::unauthorized("the session is not valid or has ended"))?;
    let own = browser_session(app, headers).await?;
    if own.is_some_and(|own| own.owner != session.owner) {
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

async fn act(State(app): State<App>, headers: HeaderMap, Form(form): Form) -> Response {
    let done = match form.has("sign_out") {
        true => sign_out(&app, &headers),
        false => forget(&app, &headers, &form).await,
    };
    match done {
        Ok(response) => response,
        Err(problem) => page::or_problem(&app, &headers, problem, Wanted::Change).await,
    }
}

/// The page's Sign out button: this browser forgets whose session it had.
fn sign_out(app: &App, headers: &HeaderMap) -> Result<Response, Problem> {
    require_same_origin(app, &Method::POST, headers)?;
    let cookie = cookies::session_gone(app)?;
    let location = HeaderValue::from_static("/connect?connection=signed_out");
    Ok((
        StatusCode::SEE_OTHER,
        [(LOCATION, location), (SET_COOKIE, cookie)],
    )
        .into_response())
}

/// The page's Disconnect button.
async fn forget(app: &App, headers: &HeaderMap, form: &Query) -> Result<Response, Problem> {
    let session = browser_session(app, headers)
        .await?
        .ok_or_else(|| Problem::unauthorized("a session is needed: sign in to the application"))?;
    require_same_origin(app, &Method::POST, headers)?;
    let id = form
        .one("disconnect")?
        .and_then(|id| Uuid::try_parse(id).ok())
        .ok_or_else(Problem::not_connected)?;
    let row = oauth_tokens::find_by_id(&app.store, ConnectionId(id))
        .await?
        .filter(|row| row.key.owner == session.owner)
        .ok_or_else(Problem::not_connected)?;
    let done = disconnect(app, &row).await?;

    let target = with_query(
        "/connect",
        &[
            ("connection", "disconnected"),
            ("provider", &row.key.provider),
            ("access", access(done)),
        ],
    );
    let location = HeaderValue::from_str(&target)
        .map_err(|_| Problem::new(Code::Internal, "the page could not be reached"))?;
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response();
    response.extensions_mut().insert(Noted {
        provider: Some(row.key.provider.clone()),
        connection: Some(row.key.id.to_string()),
        ..Noted::default()
    });
    Ok(response)
}
