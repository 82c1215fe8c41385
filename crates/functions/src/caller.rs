//! Who calls, and what each may do: a service key, the session of a browser's user, or the
//! platform's scheduler.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::{AUTHORIZATION, HeaderValue, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};

use grantkeep_core::App;
use grantkeep_core::connection::{DEFAULT, Owner};
use grantkeep_core::secret::{CronSecret, SessionToken};
use grantkeep_core::service_key::{Permission, ServiceKey as Key};
use grantkeep_core::session::{Session, is_ours};

use crate::extract::{Query, cookie};
use crate::problem::{Code, Problem};
use crate::service::Instance;

/// Query parameters that people put credentials into. A URL ends up in logs.
const CREDENTIAL_PARAMETERS: [&str; 4] = ["access_token", "api_key", "apikey", "service_key"];

/// Name of the session cookie; browsers refuse the prefix without https.
pub fn session_cookie(app: &App) -> &'static str {
    match app.settings.public_url.is_secure() {
        true => "__Host-grantkeep_session",
        false => "grantkeep_session",
    }
}

/// The caller's service key.
#[derive(Clone, Debug)]
pub struct ServiceKey(pub Key);

impl ServiceKey {
    /// Refuses a key that may not do this in this workspace.
    pub fn require(&self, permission: Permission, workspace: &str) -> Result<(), Problem> {
        if !self.0.reaches(workspace) {
            return Err(Problem::new(
                Code::Forbidden,
                "this service key is for another workspace: pass its own as `workspace`",
            ));
        }
        self.require_permission(permission)
    }

    /// Refuses a key that may not do this anywhere.
    pub fn require_permission(&self, permission: Permission) -> Result<(), Problem> {
        if self.0.permits(permission) {
            return Ok(());
        }
        let detail = format!(
            "this service key lacks the permission {}",
            permission.name()
        );
        Err(Problem::new(Code::Forbidden, detail))
    }
}

impl FromRequestParts<Instance> for ServiceKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Instance) -> Result<Self, Problem> {
        const NEEDED: &str = "a service key is needed: Authorization: Bearer …";
        let bearer = bearer(parts)?.ok_or_else(|| Problem::unauthorized(NEEDED))?;
        match state.app.settings.service_keys.find(bearer) {
            Some(key) => Ok(Self(key.clone())),
            None => Err(wrong(state, &parts.headers, NEEDED)),
        }
    }
}

impl OptionalFromRequestParts<Instance> for ServiceKey {
    type Rejection = Problem;

    /// Absent without an `Authorization` header; a wrong key is refused all the same.
    async fn from_request_parts(
        parts: &mut Parts,
        state: &Instance,
    ) -> Result<Option<Self>, Problem> {
        if parts.headers.contains_key(AUTHORIZATION) {
            let key = <Self as FromRequestParts<Instance>>::from_request_parts(parts, state);
            return key.await.map(Some);
        }
        Ok(None)
    }
}

/// The platform's scheduler, which shows `CRON_SECRET` as Vercel Cron does.
#[derive(Clone, Copy, Debug)]
pub struct Scheduler;

impl FromRequestParts<Instance> for Scheduler {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Instance) -> Result<Self, Problem> {
        const NEEDED: &str = "the scheduler's secret is needed: Authorization: Bearer $CRON_SECRET";
        let bearer = bearer(parts)?.ok_or_else(|| Problem::unauthorized(NEEDED))?;
        let shown = CronSecret::new(bearer);
        match &state.app.settings.cron_secret {
            Some(secret) if secret.same_as(&shown) => Ok(Self),
            _ => Err(wrong(state, &parts.headers, NEEDED)),
        }
    }
}

/// A service key, or a session.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Another serverless endpoint.
    Key(ServiceKey),
    /// A browser's user, for their own connections.
    Session(Session),
}

impl Caller {
    const NEEDED: &str = "a session or a service key is needed";
}

impl FromRequestParts<Instance> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Instance) -> Result<Self, Problem> {
        let app = &state.app;
        let by_cookie = cookie(&parts.headers, session_cookie(app));
        let Some(bearer) = bearer(parts)? else {
            let token = by_cookie.ok_or_else(|| Problem::unauthorized(Self::NEEDED))?;
            let session = session(app, token)
                .await?
                .ok_or_else(|| wrong(state, &parts.headers, Self::NEEDED))?;
            require_same_origin(app, &parts.method, &parts.headers)?;
            return Ok(Self::Session(session));
        };
        if by_cookie.is_some() {
            return Err(Problem::invalid(
                "Authorization",
                "send either the header or the session cookie, not both",
            ));
        }
        if let Some(key) = app.settings.service_keys.find(bearer) {
            return Ok(Self::Key(ServiceKey(key.clone())));
        }
        session(app, bearer)
            .await?
            .map(Self::Session)
            .ok_or_else(|| wrong(state, &parts.headers, Self::NEEDED))
    }
}

/// 401 for a credential that is not one of ours, and 429 once a source has shown many.
fn wrong(instance: &Instance, headers: &HeaderMap, detail: &str) -> Problem {
    match instance.attempts.failed(headers) {
        None => Problem::unauthorized(detail),
        Some(seconds) => Problem::too_many_attempts(seconds),
    }
}

/// A live session: one that we signed, or that the issuer of `SESSION_JWKS_URL` did. Only
/// for one of theirs is anything fetched; the problem says that this cannot be done now.
pub async fn session(app: &App, token: &str) -> Result<Option<Session>, Problem> {
    let token = SessionToken::new(token);
    let settings = &app.settings;
    if is_ours(&token) {
        let key = settings.sessions.as_ref();
        return Ok(key.and_then(|key| key.verify(&token, app.now())));
    }
    let Some(issuer) = &settings.session_issuer else {
        return Ok(None);
    };
    let session = issuer.verify(&app.http, &app.key_sets, &token, app.now());
    session.await.map_err(|error| {
        tracing::error!(event = "session_keys", %error);
        let detail = format!("SESSION_JWKS_URL {error}, so no session can be checked; try again");
        Problem::new(Code::ProviderUnavailable, detail).retry_after(5)
    })
}

/// The session of the browser, from its cookie.
pub async fn browser_session(app: &App, headers: &HeaderMap) -> Result<Option<Session>, Problem> {
    match cookie(headers, session_cookie(app)) {
        Some(token) => session(app, token).await,
        None => Ok(None),
    }
}

/// Refuses a change that a page of somebody else could have caused: with a cookie, the
/// browser must say that one of our origins asks.
///
/// Under `Referrer-Policy: no-referrer` browsers write the origin of a form as `null`, even
/// towards the page's own server; `Sec-Fetch-Site`, which no script can set, then tells.
pub fn require_same_origin(app: &App, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if method.is_safe() {
        return Ok(());
    }
    let origin = headers.get(ORIGIN).map(HeaderValue::to_str);
    match origin {
        Some(Ok(origin)) if app.settings.origins.contains(origin) => Ok(()),
        Some(Ok("null")) if fetch_site(headers) == Some("same-origin") => Ok(()),
        _ => Err(Problem::new(
            Code::Forbidden,
            "the Origin header must be PUBLIC_URL or one of RETURN_TO_ORIGINS",
        )),
    }
}

fn fetch_site(headers: &HeaderMap) -> Option<&str> {
    headers.get("sec-fetch-site")?.to_str().ok()
}

/// The bearer token of the request, if it carries one; exactly one way to show it.
fn bearer(parts: &Parts) -> Result<Option<&str>, Problem> {
    let query = Query::parse(parts.uri.query().unwrap_or_default().as_bytes());
    if CREDENTIAL_PARAMETERS.iter().any(|name| query.has(name)) {
        return Err(Problem::new(
            Code::InvalidRequest,
            "a credential in the URL ends up in logs: replace it, and send the new one as \
             Authorization: Bearer …",
        ));
    }
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Problem::invalid("Authorization", "is given more than once"));
    }
    let unusable = || Problem::unauthorized("Authorization must be: Bearer …");
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(unusable)?;
    match scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() {
        true => Ok(Some(token.trim())),
        false => Err(unusable()),
    }
}

/// Whose connections a caller means by `workspace` and `actor`: a session only its own.
pub fn owner_of(
    caller: &Caller,
    workspace: Option<&str>,
    actor: Option<&str>,
) -> Result<Owner, Problem> {
    match caller {
        Caller::Session(session) => Ok(session.owner.clone()),
        Caller::Key(_) => Ok(Owner::new(workspace, actor)?),
    }
}

/// Whose rows a listing shows.
pub struct Reach {
    /// The tenant.
    pub workspace: String,
    /// The user within it; absent: all of them.
    pub actor: Option<String>,
}

impl Reach {
    /// A session lists its own; a service key that may read, those of the workspace that the
    /// query names, and of one actor where it names one.
    pub fn of(caller: &Caller, query: &Query) -> Result<Self, Problem> {
        match caller {
            Caller::Session(session) => Ok(Self {
                workspace: session.owner.workspace.clone(),
                actor: Some(session.owner.actor.clone()),
            }),
            Caller::Key(key) => {
                let workspace = query
                    .name("workspace")?
                    .unwrap_or_else(|| DEFAULT.to_owned());
                key.require(Permission::Read, &workspace)?;
                let actor = query.name("actor")?;
                Ok(Self { workspace, actor })
            }
        }
    }
}
