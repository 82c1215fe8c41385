//! Which connections a command means: one, by its id or by what it is called, or all that
//! fit.

use clap::Args;
use grantkeep_core::connection::{ConnectionId, DEFAULT, Owner};
use grantkeep_core::store::Store;
use grantkeep_core::store::oauth_tokens::operators::Filter;
use grantkeep_core::store::oauth_tokens::{self, Connection};

use crate::failure::Failure;

/// One connection.
#[derive(Args)]
pub struct One {
    /// A connection's id, or a provider
    connection: String,
    /// With a provider: whose connection
    #[arg(long, default_value = DEFAULT)]
    workspace: String,
    /// With a provider: whose connection
    #[arg(long, default_value = DEFAULT)]
    actor: String,
    /// With a provider: where there are several
    #[arg(long)]
    account: Option<String>,
}

impl One {
    /// Finds it.
    pub async fn find(&self, store: &Store) -> Result<Connection, Failure> {
        if let Ok(id) = self.connection.parse() {
            let found = oauth_tokens::find_by_id(store, ConnectionId(id)).await?;
            return found.ok_or_else(|| Failure::new("not_connected", "no connection has this id"));
        }
        let owner = Owner::new(Some(&self.workspace), Some(&self.actor))
            .map_err(|error| Failure::usage(error.to_string()))?;
        let account = self.account.as_deref();
        let mut found = oauth_tokens::find(store, &self.connection, &owner, account).await?;
        if found.len() > 1 {
            let accounts: Vec<&str> = found.iter().map(|row| row.key.account.as_str()).collect();
            return Err(Failure::new(
                "ambiguous_account",
                format!(
                    "there are several accounts, name one with --account: {}",
                    accounts.join(", ")
                ),
            ));
        }
        found.pop().ok_or_else(|| {
            Failure::new(
                "not_connected",
                format!(
                    "actor {} of workspace {} has no such connection at {}; see `grantkeep list`",
                    owner.actor, owner.workspace, self.connection
                ),
            )
        })
    }
}

/// All connections that fit.
#[derive(Args)]
pub struct Only {
    /// Only those of this provider
    #[arg(long)]
    provider: Option<String>,
    /// Only those of this workspace
    #[arg(long)]
    workspace: Option<String>,
    /// Only those of this actor
    #[arg(long)]
    actor: Option<String>,
    /// Only those of this account
    #[arg(long)]
    account: Option<String>,
}

impl Only {
    /// As the database is asked.
    pub fn filter(&self) -> Filter {
        Filter {
            provider: self.provider.clone(),
            workspace: self.workspace.clone(),
            actor: self.actor.clone(),
            account: self.account.clone(),
            ..Filter::default()
        }
    }
}
