//! The provider of a request: from its path, never from its query, which hosts and
//! callers add to.

use grantkeep_core::App;
use grantkeep_core::provider::Provider;
use grantkeep_core::scope::ScopeSet;

use crate::problem::Problem;

/// A configured provider by name.
pub fn find<'a>(app: &'a App, name: &str) -> Result<&'a Provider, Problem> {
    app.settings
        .providers
        .find(name)
        .ok_or_else(|| Problem::unknown_provider(name))
}

/// Where a user grants `scopes` (besides the provider's own) with `account`.
pub fn connect_url(app: &App, provider: &str, scopes: &ScopeSet, account: Option<&str>) -> String {
    let base = format!(
        "{}/api/oauth/{provider}/authorize",
        app.settings.public_url.origin()
    );
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if !scopes.is_empty() {
        query.append_pair("scope", &scopes.join(" "));
    }
    if let Some(account) = account {
        query.append_pair("account", account);
    }
    match query.finish() {
        query if query.is_empty() => base,
        query => format!("{base}?{query}"),
    }
}
