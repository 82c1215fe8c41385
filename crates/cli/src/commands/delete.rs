//! `grantkeep delete`: forgets a connection and tells the provider nothing.

use clap::Args;
use grantkeep_core::store::oauth_tokens::write;
use serde_json::json;

use crate::confirm::Confirmation;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::select::One;
use crate::settings;
use crate::view::shown;

/// Forget a connection without revoking it at the provider
///
/// Its tokens are gone from the database; at the provider the grant lives on until it is
/// revoked there. `grantkeep revoke` does both.
#[derive(Args)]
pub struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Why, in the event that is written with it.
const REASON: &str = "deleted_by_operator";

/// Asks, then forgets.
pub async fn run(command: &Delete, output: &Output) -> Result<Exit, Failure> {
    let store = settings::store()?;
    let connection = command.one.find(&store).await?;
    let key = &connection.key;
    let name = format!("{} of {}", key.provider, shown(&key.account));
    command.confirmation.ask(&format!(
        "Forget {name} without revoking it at the provider?"
    ))?;
    let deleted = write::delete(&store, key, false, REASON).await?;
    output.result(
        &json!({"id": key.id.to_string(), "deleted": deleted, "revoked": false}),
        &format!("Forgot {name}."),
    );
    Ok(Exit::Success)
}
