//! `GET` and `POST /api/oauth/{provider}/callback`: the provider's redirect.

use axum::Router;
use axum::extract::State;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use grantkeep_core::App;
use grantkeep_core::connect::{
    self, Arrival, Callback, CompleteError, Completed, Failure, Outcome,
};
use grantkeep_core::return_to::with_query;
use grantkeep_core::secret::{AuthorizationCode, SealedToken, State as OAuthState};

use crate::cookies;
use crate::extract::{Form, Path, Query, cookie};
use crate::page;
use crate::problem::{Code, Problem};
use crate::provider_path;
use crate::service::{Function, Instance, Noted};

/// This function.
pub static FUNCTION: Function = Function {
    name: "callback",
    routes: &[("/api/oauth/{provider}/callback", &["GET", "POST"])],
    needs: &[],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    Router::new().route(
        "/api/oauth/{provider}/callback",
        get(by_query).post(by_form),
    )
}

async fn by_query(
    State(app): State<App>,
    Path(provider): Path,
    headers: HeaderMap,
    query: Query,
) -> Response {
    answer(&app, &provider, &headers, query).await
}

async fn by_form(
    State(app): State<App>,
    Path(provider): Path,
    headers: HeaderMap,
    Form(form): Form,
) -> Response {
    answer(&app, &provider, &headers, form).await
}

async fn answer(app: &App, provider: &str, headers: &HeaderMap, query: Query) -> Response {
    match complete(app, provider, headers, query).await {
        Ok(response) => response,
        Err(problem) => {
            page::or_problem(app, headers, problem, page::to_connect(app, provider)).await
        }
    }
}

async fn complete(
    app: &App,
    provider: &str,
    headers: &HeaderMap,
    query: Query,
) -> Result<Response, Problem> {
    let provider = provider_path::find(app, provider)?;
    let callback = Callback {
        state: query.one("state")?.map(OAuthState::new),
        code: query.one("code")?.map(AuthorizationCode::new),
        error: query.one("error")?.map(str::to_owned),
        iss: query.one("iss")?.map(str::to_owned),
        parameters: query.into_pairs(),
    };
    let sealed = connect::flow_cookie(&callback)
        .and_then(|flow| cookie(headers, &cookies::flow_name(app, flow)))
        .map(SealedToken::new);
    let (arrival, mut pairs, connection) =
        match connect::complete(app, provider, callback, sealed).await {
            Ok(done) => (
                done.arrival.clone(),
                success(&done),
                Some(done.connection.to_string()),
            ),
            Err(CompleteError {
                arrival: Some(arrival),
                failure,
            }) if may_travel(&failure) => {
                let problem = Problem::from(failure);
                (arrival, failed(&problem), None)
            }
            // Nothing was saved, or this browser did not begin it: an error page, here.
            Err(CompleteError { arrival, failure }) => {
                let problem = Problem::from(failure);
                let mut response =
                    page::or_problem(app, headers, problem, page::to_connect(app, &provider.name))
                        .await;
                if let Some(arrival) = arrival {
                    clear(app, &arrival, &mut response)?;
                }
                return Ok(response);
            }
        };
    pairs.push(("provider", provider.name.clone()));
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let target = with_query(arrival.return_to.as_deref().unwrap_or("/connect"), &pairs);
    let location = HeaderValue::from_str(&target)
        .map_err(|_| Problem::new(Code::Internal, "return_to could not be sent"))?;
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response();
    clear(app, &arrival, &mut response)?;
    response.extensions_mut().insert(Noted {
        provider: Some(provider.name.clone()),
        connection,
        ..Noted::default()
    });
    Ok(response)
}

/// What the browser brings back to the application: no code, no state, no token.
fn success(done: &Completed) -> Vec<(&'static str, String)> {
    let mut pairs = match &done.outcome {
        Outcome::Connected => vec![("connection", "connected".to_owned())],
        Outcome::InsufficientScope { missing } => vec![
            ("connection", "insufficient_scope".to_owned()),
            ("missing_scope", missing.join(" ")),
        ],
        Outcome::Pending => vec![
            ("connection", "pending".to_owned()),
            ("connection_id", done.connection.to_string()),
        ],
    };
    pairs.push(("account", done.account.clone()));
    pairs
}

fn failed(problem: &Problem) -> Vec<(&'static str, String)> {
    vec![
        ("connection", "error".to_owned()),
        ("error", problem.code.as_str().to_owned()),
    ]
}

/// A failed save is shown here and now: the application must not take it for a passing
/// fault of the provider.
fn may_travel(failure: &Failure) -> bool {
    !matches!(failure, Failure::Store(_))
}

/// The flow is over: its cookie goes.
fn clear(app: &App, arrival: &Arrival, response: &mut Response) -> Result<(), Problem> {
    let gone = cookies::flow_gone(app, arrival.flow)?;
    response.headers_mut().append(SET_COOKIE, gone);
    Ok(())
}
