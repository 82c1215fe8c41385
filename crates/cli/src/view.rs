//! A connection as operators see it: never a token.

use grantkeep_core::provider::Registry;
use grantkeep_core::store::oauth_tokens::Connection;
use serde_json::{Value, json};

use crate::time::rfc3339;

/// The JSON of a connection: what the API shows, and what only operators need.
pub fn json(providers: &Registry, connection: &Connection) -> Value {
    let Connection { key, .. } = connection;
    json!({
        "id": key.id.to_string(),
        "provider": key.provider,
        "workspace": key.owner.workspace,
        "actor": key.owner.actor,
        "account": key.account,
        "scopes": connection.scopes.as_slice(),
        "missing_scopes": missing(providers, connection),
        "status": connection.status.as_str(),
        "status_reason": connection.status_reason,
        "status_since": rfc3339(connection.status_since),
        "expires_at": connection.expires_at.map(rfc3339),
        "created_at": rfc3339(connection.created_at),
        "updated_at": rfc3339(connection.updated_at),
        "last_refreshed_at": connection.last_refreshed_at.map(rfc3339),
        "subject": connection.subject,
        "client_id": connection.client_id,
        "scopes_assumed": connection.scopes_assumed,
        "version": connection.version,
        "refresh_failures": connection.refresh_failures,
        "refresh_error": connection.refresh_error,
    })
}

/// What the provider's job needs or was asked for, and was not granted.
pub fn missing(providers: &Registry, connection: &Connection) -> Vec<String> {
    if connection.sealed.is_none() {
        return Vec::new();
    }
    providers
        .find(&connection.key.provider)
        .map(|provider| {
            let requested = &connection.requested_scopes;
            let missing = provider.missing_scopes(&connection.scopes, requested);
            missing.as_slice().to_vec()
        })
        .unwrap_or_default()
}

/// A name that somebody else chose, safe for a terminal.
pub fn shown(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
