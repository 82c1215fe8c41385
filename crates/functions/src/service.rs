//! From a function's routes to the router that a host serves: settings, cold-start
//! check, one log line per request, and the headers that every answer carries.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{FromRef, MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::sync::OnceCell;

use grantkeep_core::App;
use grantkeep_core::cold_start::{self, Report};
use grantkeep_core::settings::{Need, SettingsError};
use grantkeep_core::webhooks;

use crate::attempts::Attempts;
use crate::cors;
use crate::late_start;
use crate::log;
use crate::problem::{Code, Problem};

/// One function: what is deployed as one binary.
pub struct Function {
    /// Its `[[bin]]` name.
    pub name: &'static str,
    /// Public paths, as the router writes them, with their methods.
    pub routes: &'static [(&'static str, &'static [&'static str])],
    /// Settings that it cannot work without.
    pub needs: &'static [Need],
    /// Its handlers.
    pub router: fn() -> Router<Instance>,
}

/// What every request of an instance shares.
#[derive(Clone)]
pub struct Instance {
    /// Settings, database, HTTP client.
    pub app: App,
    /// Wrong credentials so far.
    pub(crate) attempts: Arc<Attempts>,
    cold_start: Arc<OnceCell<Report>>,
    function: &'static str,
    started: Instant,
}

impl Instance {
    /// The cold-start report; the first to ask makes it.
    pub async fn report(&self) -> &Report {
        self.cold_start.get_or_init(|| check(self)).await
    }
}

impl FromRef<Instance> for App {
    fn from_ref(instance: &Instance) -> Self {
        instance.app.clone()
    }
}

/// What the log line of a request says besides its route.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    /// The provider's name.
    pub provider: Option<String>,
    /// The connection's id.
    pub connection: Option<String>,
    /// The service key's name.
    pub key: Option<String>,
    /// The token that was handed out.
    pub token: Option<NotedToken>,
}

/// What an audit has to know of a token that was handed out; it cannot be used.
#[derive(Clone, Debug)]
pub struct NotedToken {
    /// Tells the same token from another one, to who has the key.
    pub fingerprint: String,
    /// What it is good for, joined by spaces.
    pub scope: String,
    /// RFC 3339.
    pub expires_at: Option<String>,
    /// Whether the cache had it, `hit` or `miss`; absent where it was not asked.
    pub cache: Option<&'static str>,
}

/// The router of one function, from the environment. Settings that are missing or
/// malformed are logged, and answered to every request.
pub fn start(function: &'static Function) -> Router {
    log::start();
    let started = Instant::now();
    if App::needs_kms() {
        return late_start::router(function, started);
    }
    match App::from_env(function.needs) {
        Ok(app) => one(function, app, started),
        Err(error) => misconfigured(function.name, &error),
    }
}

/// The router of one function that began to start at `started`.
pub(crate) fn one(function: &'static Function, app: App, started: Instant) -> Router {
    router(&[function], app, function.name, started)
}

/// The router of several functions in one process, as `cargo dev` and the tests have it.
pub fn all(functions: &[&'static Function], app: App) -> Router {
    router(functions, app, "all", Instant::now())
}

fn router(
    functions: &[&'static Function],
    app: App,
    name: &'static str,
    started: Instant,
) -> Router {
    let instance = Instance {
        app,
        attempts: Arc::default(),
        cold_start: Arc::new(OnceCell::new()),
        function: name,
        started,
    };
    functions
        .iter()
        .fold(Router::new(), |router, function| {
            router.merge((function.router)())
        })
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(instance.clone(), observe))
        .with_state(instance)
}

/// Answers every request with what is wrong with the settings.
pub(crate) fn misconfigured(name: &'static str, error: &SettingsError) -> Router {
    tracing::error!(event = "misconfigured", function = name, %error);
    let problem = Problem::new(Code::Misconfigured, error.to_string());
    Router::new().fallback(move |method: Method| {
        let began = Instant::now();
        let response = problem.clone().into_response();
        let status = response.status();
        note(name, &method, UNMATCHED, status, Noted::default(), began);
        std::future::ready(response)
    })
}

/// The log line of a request that came before there were routes.
pub(crate) fn note_unmatched(name: &str, method: &Method, status: StatusCode) {
    note(
        name,
        method,
        UNMATCHED,
        status,
        Noted::default(),
        Instant::now(),
    );
}

/// The route in the log where no route took the request: a path can hold anything.
const UNMATCHED: &str = "unmatched";

async fn not_found() -> Problem {
    Problem::new(Code::InvalidRequest, "there is nothing at this path")
        .with_status(StatusCode::NOT_FOUND)
}

async fn method_not_allowed() -> Problem {
    Problem::new(Code::InvalidRequest, "this path has no such method")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// Checks scopes before the first answer, logs every request by its route (never by
/// its URL, whose query can hold a code), and adds the headers that all answers have.
/// Errors are readable for our pages too, or they could not tell a lost session.
async fn observe(State(instance): State<Instance>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let origin = request.headers().get(ORIGIN).cloned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| UNMATCHED.to_owned(), |path| path.as_str().to_owned());
    let provider = named_provider(&instance.app, &route, request.uri().path());

    let mut response = next.run(request).await;
    webhooks::deliver_news(&instance.app).await;
    // Before the first answer, but after the request's own work: the check then finds a
    // connection to the database, where beside it it would have to open a second one.
    instance.report().await;
    cors::allow(&instance.app, origin.as_ref(), &mut response);
    add_headers(&instance, &mut response);
    let mut noted: Noted = response.extensions().get().cloned().unwrap_or_default();
    noted.provider = noted.provider.or(provider);
    let status = response.status();
    note(instance.function, &method, &route, status, noted, began);
    response
}

/// The provider in the path of a route that has one, if it is one of ours: the log of a
/// failed sign-in names it too, and nothing that somebody made up.
fn named_provider(app: &App, route: &str, path: &str) -> Option<String> {
    let position = route.split('/').position(|part| part == "{provider}")?;
    let name = path.split('/').nth(position)?;
    Some(app.settings.providers.find(name)?.name.clone())
}

async fn check(instance: &Instance) -> Report {
    let began = Instant::now();
    let report = cold_start::check(&instance.app).await;
    tracing::info!(
        event = "cold_start",
        function = instance.function,
        since_start_ms = milliseconds(instance.started),
        check_ms = milliseconds(began),
        scopes = serde_json::to_string(&report).unwrap_or_default(),
    );
    report
}

fn note(
    function: &str,
    method: &Method,
    route: &str,
    status: StatusCode,
    noted: Noted,
    began: Instant,
) {
    tracing::info!(
        event = "request",
        function,
        method = method.as_str(),
        route,
        status = status.as_u16(),
        duration_ms = milliseconds(began),
        provider = noted.provider.as_deref(),
        connection_id = noted.connection.as_deref(),
        key = noted.key.as_deref(),
        token = noted.token.as_ref().map(|token| token.fingerprint.as_str()),
        scope = noted.token.as_ref().map(|token| token.scope.as_str()),
        expires_at = noted
            .token
            .as_ref()
            .and_then(|token| token.expires_at.as_deref()),
        cache = noted.token.as_ref().and_then(|token| token.cache),
    );
}

fn milliseconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

const PRAGMA: HeaderName = axum::http::header::PRAGMA;

fn add_headers(instance: &Instance, response: &mut Response) {
    let headers = response.headers_mut();
    let mut default = |name: HeaderName, value: &'static str| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    default(CACHE_CONTROL, "no-store");
    default(PRAGMA, "no-cache");
    default(X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(REFERRER_POLICY, "no-referrer");
    if instance.app.settings.public_url.is_secure() {
        default(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
}
