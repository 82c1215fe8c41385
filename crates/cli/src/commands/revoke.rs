//! `grantkeep revoke`: disconnects, as `DELETE /api/connections/{id}` does.

use clap::Args;
use grantkeep_core::disconnect;
use serde_json::json;

use crate::confirm::Confirmation;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::select::One;
use crate::settings;
use crate::view::shown;

/// Revoke a connection at the provider where that ends nothing else, then forget it
#[derive(Args)]
pub struct Revoke {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// The provider should have been told and was not, or not yet.
const FAILURES: [&str; 4] = [
    "queued",
    "provider_refused",
    "provider_not_configured",
    "credentials_unreadable",
];

/// Asks, then disconnects.
pub async fn run(command: &Revoke, output: &Output) -> Result<Exit, Failure> {
    let app = settings::app().await?;
    let connection = command.one.find(&app.store).await?;
    let key = &connection.key;
    let name = format!("{} of {}", key.provider, shown(&key.account));
    command
        .confirmation
        .ask(&format!("Revoke and forget {name}?"))?;
    let done = disconnect::disconnect(&app, &connection).await?;
    let text = match done.reason {
        None => format!("Revoked and forgot {name}."),
        Some("queued") => format!(
            "Forgot {name}; the provider does not answer, and is told later: cron/refresh tries \
             for a day, and an event says how it ended."
        ),
        Some(reason) => format!("Forgot {name}; not revoked at the provider: {reason}."),
    };
    output.result(
        &json!({
            "id": key.id.to_string(),
            "deleted": true,
            "revoked": done.revoked,
            "reason": done.reason,
        }),
        &text,
    );
    let failed = done.reason.is_some_and(|reason| FAILURES.contains(&reason));
    Ok(if failed { Exit::Failure } else { Exit::Success })
}
