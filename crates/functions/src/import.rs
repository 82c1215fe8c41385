//! `POST /api/connections`: a connection made of credentials that another system stored.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use grantkeep_core::App;
use grantkeep_core::connection::{Owner, name};
use grantkeep_core::import::save::{ImportError, Order, Outcome, save};
use grantkeep_core::import::{self, Refused};
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::service_key::Permission;

use crate::caller::ServiceKey;
use crate::connection_view::ConnectionView;
use crate::extract::JsonText;
use crate::json::json;
use crate::problem::{Code, Problem};
use crate::provider_path;
use crate::service::Noted;

/// What the request itself says; the rest of the body are the credentials.
struct Ask {
    provider: Option<String>,
    workspace: Option<String>,
    actor: Option<String>,
    account: Option<String>,
    verify: bool,
    replace: bool,
}

/// 201 for a connection that was made or changed, 200 when the same was imported before.
pub async fn create(
    State(app): State<App>,
    key: ServiceKey,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    key.require_permission(Permission::Write)?;
    if body.len() > import::MAX_BYTES {
        let problem = Problem::new(Code::InvalidRequest, "the body is larger than 64 KiB");
        return Err(problem.with_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let mut members = import::parse(&body)?;
    let ask = Ask::take(&mut members)?;
    let imported = import::read_members(members, &app.settings.keys)?;

    let whose = &imported.whose;
    let owner = Owner::new(
        ask.workspace.as_deref().or(whose.workspace.as_deref()),
        ask.actor.as_deref().or(whose.actor.as_deref()),
    )?;
    key.require(Permission::Write, &owner.workspace)?;
    let provider = ask
        .provider
        .ok_or_else(|| Problem::invalid("provider", "is missing: name one, such as gmail"))?;
    let provider = provider_path::find(&app, &provider)?;
    let account = ask
        .account
        .as_deref()
        .map(|account| name("account", account))
        .transpose()?;
    let order = Order {
        owner,
        account,
        verify: ask.verify,
        replace: ask.replace,
        keep_dead: false,
    };

    let outcome = save(&app, provider, &imported, &order)
        .await
        .map_err(|error| problem(&app, &provider.name, error))?;
    let (status, row) = match outcome {
        Outcome::Imported(row) => (StatusCode::CREATED, row),
        Outcome::Unchanged(row) => (StatusCode::OK, row),
    };
    let noted = Noted {
        provider: Some(provider.name.clone()),
        connection: Some(row.key.id.to_string()),
        key: Some(key.0.name),
        ..Noted::default()
    };
    let mut response = json(status, &ConnectionView::new(&app, row));
    response.extensions_mut().insert(noted);
    Ok(response)
}

impl Ask {
    /// Takes these members out of the body.
    fn take(members: &mut Map<String, Value>) -> Result<Self, Problem> {
        Ok(Self {
            provider: text(members, "provider")?,
            workspace: text(members, "workspace")?,
            actor: text(members, "actor")?,
            account: text(members, "account")?,
            verify: flag(members, "verify")?.unwrap_or(true),
            replace: flag(members, "replace")?.unwrap_or(false),
        })
    }
}

/// An empty text counts as absent: google-auth writes `"account": ""`.
fn text(members: &mut Map<String, Value>, field: &str) -> Result<Option<String>, Problem> {
    match members.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(_) => Err(Problem::invalid(field, "must be a string")),
    }
}

fn flag(members: &mut Map<String, Value>, field: &str) -> Result<Option<bool>, Problem> {
    match members.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(_) => Err(Problem::invalid(field, "must be true or false")),
    }
}

impl From<Refused> for Problem {
    fn from(Refused { field, message }: Refused) -> Self {
        match field.as_str() {
            "file" => Self::invalid("body", message),
            field => Self::invalid(field, message),
        }
    }
}

fn problem(app: &App, provider: &str, error: ImportError) -> Problem {
    match error {
        ImportError::Refused(refused) => refused.into(),
        ImportError::Connected { .. } => Problem::invalid(
            "replace",
            "this account has a connection that works: pass true to put the imported credentials \
             in its place",
        )
        .with_status(StatusCode::CONFLICT),
        ImportError::Dead { reason } => {
            let url = provider_path::connect_url(app, provider, &ScopeSet::default(), None);
            Problem::new(
                Code::ReauthorizationRequired,
                "the provider no longer honours these credentials, and nothing was stored: send \
                 the user to connect_url",
            )
            .with("reason", reason.into())
            .with("since", app.now().to_rfc3339().into())
            .with("connect_url", url.into())
        }
        ImportError::Provider(error) => error.into(),
        ImportError::Discovery(error) => error.into(),
        ImportError::Store(error) => error.into(),
    }
}
