//! `grantkeep show`: one connection, and on request its tokens.

use clap::Args;
use grantkeep_core::provider::Registry;
use grantkeep_core::store::oauth_tokens::Connection;
use grantkeep_core::tokens;
use serde_json::json;

use crate::confirm::Confirmation;
use crate::failure::{Exit, Failure};
use crate::output::{Output, details};
use crate::select::One;
use crate::settings;
use crate::time::rfc3339;
use crate::view::{self, shown};

/// Show one connection
#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    one: One,
    /// Show its tokens too, as they are stored; nothing is refreshed
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Shows it.
pub async fn run(command: &Show, output: &Output) -> Result<Exit, Failure> {
    if command.reveal {
        return reveal(command, output).await;
    }
    let (store, providers) = (settings::store()?, settings::providers()?);
    let connection = command.one.find(&store).await?;
    output.result(
        &view::json(&providers, &connection),
        &text(&providers, &connection),
    );
    Ok(Exit::Success)
}

async fn reveal(command: &Show, output: &Output) -> Result<Exit, Failure> {
    let app = settings::app().await?;
    let connection = command.one.find(&app.store).await?;
    let providers = &app.settings.providers;
    command
        .confirmation
        .ask("This shows tokens that are as good as a password.")?;
    let (mut value, text) = (
        view::json(providers, &connection),
        text(providers, &connection),
    );
    let credentials = tokens::open(&app, connection)?.credentials;
    let access_token = credentials.access_token.expose();
    let refresh_token = credentials
        .refresh_token
        .as_ref()
        .map(|token| token.expose());
    value["access_token"] = json!(access_token);
    value["refresh_token"] = json!(refresh_token);
    let secrets = details(&[
        ("access token", Some(access_token.to_owned())),
        ("refresh token", refresh_token.map(str::to_owned)),
    ]);
    output.result(&value, &format!("{text}\n{secrets}"));
    Ok(Exit::Success)
}

fn text(providers: &Registry, connection: &Connection) -> String {
    let Connection { key, .. } = connection;
    let words = |list: &[String]| (!list.is_empty()).then(|| list.join(" "));
    let failing = (connection.refresh_failures > 0).then(|| {
        let error = connection.refresh_error.as_deref().unwrap_or("unknown");
        format!("{} times in a row: {error}", connection.refresh_failures)
    });
    details(&[
        ("id", Some(key.id.to_string())),
        ("provider", Some(key.provider.clone())),
        ("workspace", Some(shown(&key.owner.workspace))),
        ("actor", Some(shown(&key.owner.actor))),
        ("account", Some(shown(&key.account))),
        ("subject", connection.subject.as_deref().map(shown)),
        ("status", Some(connection.status.as_str().to_owned())),
        ("reason", connection.status_reason.clone()),
        ("since", Some(rfc3339(connection.status_since))),
        ("scopes", words(connection.scopes.as_slice())),
        (
            "missing scopes",
            words(&view::missing(providers, connection)),
        ),
        ("client id", Some(connection.client_id.clone())),
        ("expires", connection.expires_at.map(rfc3339)),
        ("created", Some(rfc3339(connection.created_at))),
        ("updated", Some(rfc3339(connection.updated_at))),
        ("refreshed", connection.last_refreshed_at.map(rfc3339)),
        ("refresh fails", failing),
    ])
}
