//! What every function checks before its first answer: the registry's scopes, and with
//! one query the scopes that were granted to the default connections.

use std::time::Duration;

use serde::Serialize;

use crate::app::App;
use crate::connection::Owner;
use crate::scope::Mode;
use crate::store::oauth_tokens::{self, Granted, Status};

/// The longest that the look at the database may hold up the first answer.
const LIMIT: Duration = Duration::from_secs(2);

/// The result, as it is logged and shown by `/api/health`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// One entry for each configured provider.
    pub providers: Vec<ProviderReport>,
    /// Why the default connections could not be looked at, if they could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// What is known of one provider's scopes.
#[derive(Clone, Debug, Serialize)]
pub struct ProviderReport {
    /// Its name.
    pub provider: String,
    /// Scopes that its connections need and that the settings do not even ask for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_requested: Vec<String>,
    /// The default workspace's and actor's connection: `active`, another status, or `none`.
    pub connection: &'static str,
    /// `has_scopes` on what was granted; absent without a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_scopes: Option<bool>,
    /// What was not granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_scopes: Vec<String>,
}

/// Looks once. A failed check never stops a function: callers who need those scopes
/// are answered `insufficient_scope`.
pub async fn check(app: &App) -> Report {
    let owner = Owner::default();
    let found = oauth_tokens::granted(&app.store, &owner);
    let (connections, database) = match tokio::time::timeout(LIMIT, found).await {
        Ok(Ok(connections)) => (connections, None),
        Ok(Err(error)) => (Vec::new(), Some(error.to_string())),
        Err(_) => (Vec::new(), Some("no answer in time".to_owned())),
    };
    let providers = app
        .settings
        .providers
        .iter()
        .map(|provider| {
            let own = connections.iter().find(|row| row.provider == provider.name);
            report(provider, own)
        })
        .collect();
    Report {
        providers,
        database,
    }
}

fn report(provider: &crate::provider::Provider, own: Option<&Granted>) -> ProviderReport {
    let required = provider.required_scopes();
    let rules = provider.scope_rules();
    let not_requested = provider
        .default_scopes()
        .missing(&required, rules, Mode::Effective);
    let usable = own.filter(|row| row.status != Status::Pending);
    let missing = usable.map(|row| row.scopes.missing(&required, rules, Mode::Effective));
    ProviderReport {
        provider: provider.name.clone(),
        not_requested: not_requested.as_slice().to_vec(),
        connection: own.map_or("none", |row| row.status.as_str()),
        has_scopes: missing.as_ref().map(|missing| missing.is_empty()),
        missing_scopes: missing
            .map(|missing| missing.as_slice().to_vec())
            .unwrap_or_default(),
    }
}
