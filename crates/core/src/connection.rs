//! What a connection is called: ids and names, checked once where they come in.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cipher::Place;

/// Workspace and actor of those who name none.
pub const DEFAULT: &str = "default";
const MAX_NAME: usize = 255;

/// One connection.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ConnectionId(pub Uuid);

impl std::fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How many token sets a connection has had; every save compares and adds one.
pub type Version = i64;

/// Whose connections: the user within a tenant.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Owner {
    /// The tenant.
    pub workspace: String,
    /// The user within it.
    pub actor: String,
}

/// A name that cannot be used; the field says which.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} must have 1 to 255 bytes and no control characters")]
pub struct InvalidName(pub &'static str);

impl Default for Owner {
    fn default() -> Self {
        Self {
            workspace: DEFAULT.to_owned(),
            actor: DEFAULT.to_owned(),
        }
    }
}

impl Owner {
    /// Absent parts are `default`.
    pub fn new(workspace: Option<&str>, actor: Option<&str>) -> Result<Self, InvalidName> {
        Ok(Self {
            workspace: name("workspace", workspace.unwrap_or(DEFAULT))?,
            actor: name("actor", actor.unwrap_or(DEFAULT))?,
        })
    }
}

/// Checks a name that a caller gave.
pub fn name(field: &'static str, value: &str) -> Result<String, InvalidName> {
    let fits = !value.is_empty() && value.len() <= MAX_NAME && !value.chars().any(char::is_control);
    fits.then(|| value.to_owned()).ok_or(InvalidName(field))
}

/// Names a row: its id and key columns. Ciphertexts are bound to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RowKey {
    /// The connection.
    pub id: ConnectionId,
    /// The provider's name.
    pub provider: String,
    /// Whose it is.
    pub owner: Owner,
    /// What the account is called.
    pub account: String,
}

/// Which column of a row a ciphertext belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Column {
    /// The token set in use.
    TokenData,
    /// The token set that waits for confirmation.
    PendingTokenData,
    /// The token set in use, in a backup.
    Backup,
    /// The token set of a connection that is gone, whose provider is still to be told.
    PendingRevocation,
}

impl RowKey {
    /// Where a ciphertext of this row and column belongs.
    pub fn place(&self, column: Column) -> Place {
        let purpose = match column {
            Column::TokenData => "oauth_tokens.token_data",
            Column::PendingTokenData => "oauth_tokens.pending_token_data",
            Column::Backup => "backup.token_data",
            Column::PendingRevocation => "pending_revocations.token_data",
        };
        Place::new(
            purpose,
            &[
                self.id.0.as_bytes(),
                self.provider.as_bytes(),
                self.owner.workspace.as_bytes(),
                self.owner.actor.as_bytes(),
                self.account.as_bytes(),
            ],
        )
    }
}
