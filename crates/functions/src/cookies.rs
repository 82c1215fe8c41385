//! `Set-Cookie` values. On plain http (loopback only) browsers refuse `Secure` and the
//! `__Host-` prefix, so both are left out there, and only there.

use axum::http::HeaderValue;
use chrono::{DateTime, Utc};
use grantkeep_core::App;
use grantkeep_core::connect::TTL;
use grantkeep_core::secret::{SealedToken, SessionToken};
use uuid::Uuid;

use crate::caller::session_cookie;
use crate::problem::{Code, Problem};

/// Name of a flow's cookie: one for each flow, so that two tabs do not disturb each other.
pub fn flow_name(app: &App, flow: Uuid) -> String {
    let prefix = if app.settings.public_url.is_secure() {
        "__Host-"
    } else {
        ""
    };
    format!("{prefix}grantkeep_flow_{}", flow.simple())
}

/// Carries a flow to the callback. A provider that answers by a cross-site POST gets
/// `SameSite=None` for this cookie alone.
pub fn flow(
    app: &App,
    flow: Uuid,
    value: &SealedToken,
    form_post: bool,
) -> Result<HeaderValue, Problem> {
    let same_site = match form_post && app.settings.public_url.is_secure() {
        true => "None",
        false => "Lax",
    };
    build(app, &flow_name(app, flow), value.expose(), same_site, TTL)
}

/// Takes a flow's cookie away.
pub fn flow_gone(app: &App, flow: Uuid) -> Result<HeaderValue, Problem> {
    build(app, &flow_name(app, flow), "", "Lax", 0)
}

/// Browsers drop larger cookies without a word; the name and attributes count too.
const LONGEST_SESSION: usize = 3800;

/// Keeps a session until it ends.
pub fn session(
    app: &App,
    token: &SessionToken,
    expires_at: DateTime<Utc>,
) -> Result<HeaderValue, Problem> {
    if token.expose().len() > LONGEST_SESSION {
        return Err(Problem::invalid(
            "session",
            "is longer than a cookie can be: leave claims out of it",
        ));
    }
    let seconds = (expires_at - app.now()).num_seconds().max(0);
    build(app, session_cookie(app), token.expose(), "Lax", seconds)
}

/// Takes the session away.
pub fn session_gone(app: &App) -> Result<HeaderValue, Problem> {
    build(app, session_cookie(app), "", "Lax", 0)
}

fn build(
    app: &App,
    name: &str,
    value: &str,
    same_site: &str,
    max_age: i64,
) -> Result<HeaderValue, Problem> {
    let secure = if app.settings.public_url.is_secure() {
        "; Secure"
    } else {
        ""
    };
    let text = format!(
        "{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite={same_site}{secure}"
    );
    let mut header = HeaderValue::from_str(&text)
        .map_err(|_| Problem::new(Code::Internal, "a cookie could not be written"))?;
    header.set_sensitive(true);
    Ok(header)
}
