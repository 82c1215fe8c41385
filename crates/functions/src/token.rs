//! `GET`, `POST /api/token`: an access token that works.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};

use grantkeep_core::App;
use grantkeep_core::connection::{Owner, name};
use grantkeep_core::provider::{Definition, Provider};
use grantkeep_core::scope::{Mode, ScopeSet};
use grantkeep_core::secret::AccessToken;
use grantkeep_core::service_key::Permission;
use grantkeep_core::settings::Need;
use grantkeep_core::tokens::{self, Issued, Wanted};

use crate::caller::ServiceKey;
use crate::extract::{Json, Query};
use crate::json::{json, rfc3339};
use crate::problem::Problem;
use crate::provider_path;
use crate::service::{Function, Instance, Noted, NotedToken};

/// This function.
pub static FUNCTION: Function = Function {
    name: "token",
    routes: &[("/api/token", &["GET", "POST"])],
    needs: &[Need::ServiceKeys],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    Router::new().route("/api/token", get(read).post(report))
}

/// What a caller asks for, as a query or as JSON.
#[derive(Deserialize)]
struct Ask {
    provider: String,
    workspace: Option<String>,
    actor: Option<String>,
    account: Option<String>,
    scope: Option<String>,
    mode: Option<Mode>,
    format: Option<Format>,
    min_ttl: Option<u32>,
    rejected: Option<AccessToken>,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Format {
    AuthorizedUser,
    Json,
}

async fn read(State(app): State<App>, key: ServiceKey, query: Query) -> Result<Response, Problem> {
    let text = |name: &str| query.one(name).map(|value| value.map(str::to_owned));
    if query.has("rejected") {
        return Err(Problem::invalid(
            "rejected",
            "is a token: send it in the body of a POST",
        ));
    }
    let ask = Ask {
        provider: text("provider")?.ok_or_else(|| Problem::invalid("provider", "is missing"))?,
        workspace: text("workspace")?,
        actor: text("actor")?,
        account: text("account")?,
        scope: text("scope")?,
        mode: match query.one("mode")? {
            None => None,
            Some("strict") => Some(Mode::Strict),
            Some("effective") => Some(Mode::Effective),
            Some(_) => return Err(Problem::invalid("mode", "must be strict or effective")),
        },
        format: match query.one("format")? {
            None => None,
            Some("json") => Some(Format::Json),
            Some("authorized_user") => Some(Format::AuthorizedUser),
            Some(_) => {
                return Err(Problem::invalid(
                    "format",
                    "must be json or authorized_user",
                ));
            }
        },
        min_ttl: match query.one("min_ttl")?.map(str::parse) {
            None => None,
            Some(Ok(seconds)) => Some(seconds),
            Some(Err(_)) => return Err(Problem::invalid("min_ttl", "must be a number of seconds")),
        },
        rejected: None,
    };
    answer(&app, &key, ask).await
}

/// Also says that the API answered 401 to a token: refreshed only if it is still the
/// stored one.
async fn report(
    State(app): State<App>,
    key: ServiceKey,
    Json(ask): Json<Ask>,
) -> Result<Response, Problem> {
    answer(&app, &key, ask).await
}

async fn answer(app: &App, key: &ServiceKey, ask: Ask) -> Result<Response, Problem> {
    let owner = Owner::new(ask.workspace.as_deref(), ask.actor.as_deref())?;
    let permitted = key.require(Permission::Read, &owner.workspace);
    let provider = provider_path::find(app, &ask.provider);
    let provider = match (permitted, provider) {
        (Ok(()), provider) => provider?,
        (Err(problem), provider) => {
            if let Ok(provider) = provider {
                let code = problem.code.as_str();
                tokens::refused(app, provider, &owner, &key.0.name, code).await;
            }
            return Err(problem);
        }
    };
    let account = ask
        .account
        .as_deref()
        .map(|account| name("account", account))
        .transpose()?;
    let wanted = Wanted {
        owner,
        account,
        scopes: ask
            .scope
            .as_deref()
            .map(ScopeSet::parse)
            .unwrap_or_default(),
        mode: ask.mode.unwrap_or_default(),
        min_ttl: ask.min_ttl.map(i64::from),
        rejected: ask.rejected,
    };

    let exported = ask.format == Some(Format::AuthorizedUser);
    let whole = exported && key.0.permits(Permission::Export);
    let result = tokens::issue(app, provider, &wanted, &key.0.name, whole).await;
    let connection = result.as_ref().ok().map(|issued| issued.key.id.to_string());
    let token = result.as_ref().ok().map(|issued| noted(app, issued));
    let mut response = match result {
        Ok(issued) if exported => {
            let definition = provider.definition(&app.http).await?;
            authorized_user(whole, provider, definition, &issued)
        }
        Ok(issued) => success(&issued),
        Err(error) => Problem::of_token(error, |scopes, account| {
            provider_path::connect_url(app, &provider.name, scopes, account)
        })
        .into_response(),
    };
    response.extensions_mut().insert(Noted {
        provider: Some(provider.name.clone()),
        connection,
        key: Some(key.0.name.clone()),
        token,
    });
    Ok(response)
}

fn noted(app: &App, issued: &Issued) -> NotedToken {
    let token = issued.credentials.access_token.expose();
    NotedToken {
        fingerprint: app.settings.keys.fingerprint(token),
        scope: issued.scopes.join(" "),
        expires_at: issued.times.expires_at.map(rfc3339),
        cache: issued.cached.as_str(),
    }
}

/// The answer's JSON. `expires_in` (seconds) and `expires_at` (RFC 3339) are null where
/// the provider does not say.
#[derive(Serialize)]
struct Answer<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: Option<i64>,
    expires_at: Option<String>,
    scope: String,
    connection_id: String,
    provider: &'a str,
    workspace: &'a str,
    actor: &'a str,
    account: &'a str,
    persisted: bool,
}

/// google-auth's JSON; with the secrets in it only for a key that may export.
fn authorized_user(
    secrets: bool,
    provider: &Provider,
    definition: &Definition,
    issued: &Issued,
) -> Response {
    let (scopes, account) = (&issued.scopes, &issued.key.account);
    let (client, times) = (&provider.client, &issued.times);
    let body = issued
        .credentials
        .authorized_user(definition, client, times, scopes, account, secrets);
    json(StatusCode::OK, &body)
}

fn success(issued: &Issued) -> Response {
    let Issued { key, times, .. } = issued;
    json(
        StatusCode::OK,
        &Answer {
            access_token: issued.credentials.access_token.expose(),
            token_type: "Bearer",
            expires_in: times.expires_in(),
            expires_at: times.expires_at.map(rfc3339),
            scope: issued.scopes.join(" "),
            connection_id: key.id.to_string(),
            provider: &key.provider,
            workspace: &key.owner.workspace,
            actor: &key.owner.actor,
            account: &key.account,
            persisted: issued.persisted,
        },
    )
}
