//! A connection as callers see it: never a token.

use grantkeep_core::App;
use grantkeep_core::store::oauth_tokens::Connection;
use serde::Serialize;

use crate::json::rfc3339;

/// The JSON of a connection. Instants are RFC 3339, absent ones null.
#[derive(Serialize)]
pub struct ConnectionView {
    id: String,
    provider: String,
    workspace: String,
    actor: String,
    account: String,
    scopes: Vec<String>,
    missing_scopes: Vec<String>,
    status: &'static str,
    status_reason: Option<String>,
    expires_at: Option<String>,
    created_at: String,
    updated_at: String,
    last_refreshed_at: Option<String>,
}

impl ConnectionView {
    /// Of a row. `missing_scopes` compares what was granted with what its provider's
    /// job needs and what was asked for.
    pub fn new(app: &App, row: Connection) -> Self {
        let missing = app
            .settings
            .providers
            .find(&row.key.provider)
            .map(|provider| provider.missing_scopes(&row.scopes, &row.requested_scopes));
        let pending = row.sealed.is_none();
        Self {
            id: row.key.id.to_string(),
            provider: row.key.provider,
            workspace: row.key.owner.workspace,
            actor: row.key.owner.actor,
            account: row.key.account,
            scopes: row.scopes.as_slice().to_vec(),
            missing_scopes: missing
                .filter(|_| !pending)
                .map(|missing| missing.as_slice().to_vec())
                .unwrap_or_default(),
            status: row.status.as_str(),
            status_reason: row.status_reason,
            expires_at: row.expires_at.map(rfc3339),
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
            last_refreshed_at: row.last_refreshed_at.map(rfc3339),
        }
    }
}
