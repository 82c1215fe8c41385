//! `POST /api/auth/google`: signs in with the code of the provider's popup; `DELETE` signs
//! out. The last part of the path is the family of providers that sign people in here.

use axum::Router;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use grantkeep_core::App;
use grantkeep_core::connect::{SignInError, SignedIn, sign_in};
use grantkeep_core::oauth::id_token::IdTokenError;
use grantkeep_core::provider::Provider;
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::secret::AuthorizationCode;
use grantkeep_core::settings::Need;

use crate::caller::require_same_origin;
use crate::connection_view::ConnectionView;
use crate::cookies;
use crate::cors;
use crate::extract::Json;
use crate::json::json;
use crate::problem::{Code, Problem};
use crate::provider_path;
use crate::service::{Function, Instance, Noted};

const PATH: &str = "/api/auth/google";

/// How long somebody stays signed in. A session cannot be ended elsewhere before its time.
const LIFE: TimeDelta = TimeDelta::days(7);

/// This function.
pub static FUNCTION: Function = Function {
    name: "auth-google",
    routes: &[(PATH, &["DELETE", "POST"])],
    needs: &[Need::SessionSecret],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    let methods = post(enter).delete(leave).options(cors::preflight);
    Router::new()
        .route(PATH, methods)
        .route_layer(middleware::map_response(cors::for_pages))
}

/// What the page got from the popup, and what it had asked for.
#[derive(Deserialize)]
struct Ask {
    code: AuthorizationCode,
    provider: Option<String>,
    scope: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    user: UserView,
    connection: ConnectionView,
}

#[derive(Serialize)]
struct UserView {
    id: String,
    email: Option<String>,
}

async fn enter(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    require_page(&app, request.method(), request.headers())?;
    let Json(ask) = Json::<Ask>::from_request(request, &()).await?;
    if ask.code.expose().is_empty() {
        return Err(Problem::invalid("code", "is empty"));
    }
    let provider = chosen(&app, ask.provider.as_deref())?;
    let requested = match ask.scope.as_deref() {
        Some(scopes) => ScopeSet::parse(scopes),
        None => provider.default_scopes(),
    };

    let SignedIn { user, connection } = sign_in(&app, provider, &ask.code, &requested)
        .await
        .map_err(|error| failed(provider, error))?;

    let key = app.settings.sessions.as_ref();
    let session = key.and_then(|key| key.mint(&connection.key.owner, app.now(), LIFE));
    let session = session.ok_or_else(|| {
        Problem::new(
            Code::Internal,
            "the session could not be signed; check SESSION_SECRET",
        )
    })?;
    let cookie = cookies::session(&app, &session, app.now() + LIFE)?;
    let noted = Noted {
        provider: Some(provider.name.clone()),
        connection: Some(connection.key.id.to_string()),
        ..Noted::default()
    };
    let answer = Answer {
        user: UserView {
            id: user.id.to_string(),
            email: user.email,
        },
        connection: ConnectionView::new(&app, connection),
    };
    let mut response = json(StatusCode::OK, &answer);
    response.headers_mut().append(SET_COOKIE, cookie);
    response.extensions_mut().insert(noted);
    Ok(response)
}

/// This browser forgets whose session it had; nothing is disconnected.
async fn leave(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    require_page(&app, &Method::DELETE, &headers)?;
    let cookie = cookies::session_gone(&app)?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

/// Only a page of ours signs anybody in or out: nobody yet has a session that could tell.
/// The header cannot be sent from elsewhere without the browser asking us first.
fn require_page(app: &App, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let marked = headers
        .get("x-requested-with")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"XMLHttpRequest"));
    if !marked {
        return Err(Problem::new(
            Code::Forbidden,
            "the header X-Requested-With: XmlHttpRequest is needed",
        ));
    }
    require_same_origin(app, method, headers)
}

/// The provider that the page names, if it is of this family; else the family's own choice.
fn chosen<'a>(app: &'a App, named: Option<&str>) -> Result<&'a Provider, Problem> {
    let family = PATH.rsplit('/').next();
    let own = |provider: &&Provider| provider.configured().family.as_deref() == family;
    match named {
        Some(name) => Some(provider_path::find(app, name)?)
            .filter(own)
            .ok_or_else(|| Problem::invalid("provider", "does not sign anybody in here")),
        None => app
            .settings
            .providers
            .iter()
            .filter(own)
            .find(|provider| provider.configured().sign_in)
            .ok_or_else(|| Problem::unknown_provider(family.unwrap_or_default())),
    }
}

fn failed(provider: &Provider, error: SignInError) -> Problem {
    match error {
        SignInError::Unsupported(reason) => Problem::new(
            Code::Misconfigured,
            format!("OAUTH_PROVIDERS: {} {reason}", provider.name),
        ),
        SignInError::CodeRefused { .. } => Problem::invalid(
            "code",
            "was used before, has run out or is another client's: let the user sign in again",
        ),
        SignInError::NoIdToken => Problem::invalid(
            "scope",
            "the page has to ask for `openid`, or nobody says who signs in",
        ),
        SignInError::IdToken(error @ IdTokenError::Keys(_)) => {
            Problem::new(Code::ProviderUnavailable, error.to_string()).retry_after(5)
        }
        SignInError::IdToken(error) => {
            Problem::new(Code::ProviderError, format!("{error}; sign in again"))
        }
        SignInError::Token(error) => error.into(),
        SignInError::Discovery(error) => error.into(),
        SignInError::Store(error) => error.into(),
    }
}
