//! `GET /api/oauth/{provider}/authorize`: sends the browser to the provider's consent.

use axum::Router;
use axum::extract::State;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use grantkeep_core::App;
use grantkeep_core::connect::{self, Begin, LinkError};
use grantkeep_core::connection::name;
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::secret::SealedToken;

use crate::caller::{browser_session, session};
use crate::cookies;
use crate::extract::{Path, Query};
use crate::page;
use crate::problem::{Code, Problem};
use crate::provider_path;
use crate::service::{Function, Instance, Noted};

/// This function.
pub static FUNCTION: Function = Function {
    name: "authorize",
    routes: &[("/api/oauth/{provider}/authorize", &["GET"])],
    needs: &[],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    Router::new().route("/api/oauth/{provider}/authorize", get(authorize))
}

/// Ours to set: a caller who could would choose where codes go or weaken the flow.
const RESERVED: [&str; 10] = [
    "redirect_uri",
    "client_id",
    "response_type",
    "state",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "response_mode",
    "request",
    "request_uri",
];

async fn authorize(
    State(app): State<App>,
    Path(provider): Path,
    headers: HeaderMap,
    query: Query,
) -> Response {
    match begin(&app, &provider, &headers, &query).await {
        Ok(response) => response,
        Err(problem) => {
            page::or_problem(&app, &headers, problem, page::to_connect(&app, &provider)).await
        }
    }
}

async fn begin(
    app: &App,
    provider: &str,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Response, Problem> {
    let provider = provider_path::find(app, provider)?;
    if let Some(reserved) = RESERVED.iter().find(|reserved| query.has(reserved)) {
        return Err(Problem::invalid(reserved, "cannot be chosen by the caller"));
    }
    let begin = match query.one("link")? {
        Some(token) => by_link(app, &provider.name, token)?,
        None => by_session(app, headers, query).await?,
    };
    let begun = connect::begin(app, provider, begin).await?;
    let location = HeaderValue::from_str(begun.location.as_str())
        .map_err(|_| Problem::new(Code::Internal, "the authorization URL could not be sent"))?;
    let cookie = cookies::flow(app, begun.flow, &begun.cookie, begun.form_post)?;
    let mut response = (
        StatusCode::FOUND,
        [(LOCATION, location), (SET_COOKIE, cookie)],
    )
        .into_response();
    response.extensions_mut().insert(Noted {
        provider: Some(provider.name.clone()),
        ..Noted::default()
    });
    Ok(response)
}

fn by_link(app: &App, provider: &str, token: &str) -> Result<Begin, Problem> {
    let link = connect::open_link(app, provider, &SealedToken::new(token)).map_err(|error| {
        let reason = match error {
            LinkError::Invalid => "this link is not valid",
            LinkError::Expired => "this link has expired",
        };
        Problem::new(
            Code::InvalidState,
            format!("{reason}: ask the application for a new one"),
        )
    })?;
    Ok(Begin {
        owner: link.owner.clone(),
        return_to: link.return_to.clone(),
        scopes: link.scopes.clone(),
        account: None,
        link: Some(link),
    })
}

async fn by_session(app: &App, headers: &HeaderMap, query: &Query) -> Result<Begin, Problem> {
    let by_cookie = browser_session(app, headers).await?;
    let session = match query.one("session")? {
        Some(token) => session(app, token).await?,
        None => by_cookie.clone(),
    }
    .ok_or_else(|| {
        Problem::unauthorized("a session is needed: sign in to the application and try again")
    })?;
    // A link with somebody else's session must not collect this user's account.
    if by_cookie.is_some_and(|own| own.owner != session.owner) {
        return Err(Problem::new(
            Code::Forbidden,
            "this browser is signed in as somebody else: sign out there first",
        ));
    }
    let return_to = query.one("return_to")?.map(str::to_owned);
    check_return_to(app, return_to.as_deref())?;
    let account = query
        .one("account")?
        .map(|account| name("account", account))
        .transpose()?;
    Ok(Begin {
        owner: session.owner,
        return_to,
        scopes: query.one("scope")?.map(ScopeSet::parse).unwrap_or_default(),
        account,
        link: None,
    })
}

/// Refused here, at the start, and not quietly replaced at the end.
pub fn check_return_to(app: &App, return_to: Option<&str>) -> Result<(), Problem> {
    match return_to.is_none_or(|target| app.settings.origins.allows(target)) {
        true => Ok(()),
        false => Err(Problem::new(
            Code::ReturnToNotAllowed,
            "return_to must be a path, or an address at PUBLIC_URL or one of RETURN_TO_ORIGINS",
        )),
    }
}
