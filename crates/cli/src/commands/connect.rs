//! `grantkeep connect`: a link that connects an account for an actor.

use std::time::Duration;

use clap::Args;
use grantkeep_core::App;
use grantkeep_core::connect::{Link, create_link};
use grantkeep_core::connection::{DEFAULT, Owner};
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::store::oauth_tokens::Connection;
use grantkeep_core::store::{completed_links, oauth_tokens};
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::settings;
use crate::time::rfc3339;
use crate::view::{self, shown};

/// Print a link that connects an account; it works once, for 10 minutes
#[derive(Args)]
pub struct Connect {
    /// Where the account is
    provider: String,
    /// For whom
    #[arg(long, default_value = DEFAULT)]
    workspace: String,
    /// For whom
    #[arg(long, default_value = DEFAULT)]
    actor: String,
    /// Where the browser goes afterwards: a path, or an address at PUBLIC_URL or one of RETURN_TO_ORIGINS
    #[arg(long)]
    return_to: Option<String>,
    /// More scopes than the provider's own, separated by spaces
    #[arg(long)]
    scope: Option<String>,
    /// The connection waits until your application confirms that the right person opened the link
    #[arg(long)]
    confirm: bool,
    /// Wait until the link was used, and show the connection
    #[arg(long)]
    wait: bool,
}

/// Looks so often whether the link was used.
const EVERY: Duration = Duration::from_secs(1);

/// Prints the link, and waits for its use if asked to.
pub async fn run(command: &Connect, output: &Output) -> Result<Exit, Failure> {
    let app = settings::app().await?;
    let owner = Owner::new(Some(&command.workspace), Some(&command.actor))
        .map_err(|error| Failure::usage(error.to_string()))?;
    let providers = &app.settings.providers;
    let provider = providers.find(&command.provider).ok_or_else(|| {
        let known: Vec<&str> = providers.iter().map(|one| one.name.as_str()).collect();
        Failure::new(
            "unknown_provider",
            format!(
                "there is no provider {}, or its client is not configured; there are: {}",
                command.provider,
                known.join(", ")
            ),
        )
    })?;
    let return_to = command.return_to.as_deref();
    if !return_to.is_none_or(|target| app.settings.origins.allows(target)) {
        return Err(Failure::new(
            "return_to_not_allowed",
            "--return-to must be a path, or an address at PUBLIC_URL or one of RETURN_TO_ORIGINS",
        ));
    }
    let scopes = command.scope.as_deref().map(ScopeSet::parse);
    let scopes = scopes.unwrap_or_default();
    if let Some(scope) = scopes.iter().find(|scope| !provider.allows_scope(scope)) {
        return Err(Failure::new(
            "invalid_request",
            format!(
                "the scope {scope} may not be asked for at {}",
                provider.name
            ),
        ));
    }
    let (link, token) = create_link(
        &app,
        &provider.name,
        owner,
        command.return_to.clone(),
        scopes,
        command.confirm,
    );
    let origin = app.settings.public_url.origin();
    let url = format!(
        "{origin}/api/oauth/{}/authorize?link={}",
        provider.name,
        token.expose()
    );
    if !(command.wait && output.is_json()) {
        output.result(
            &json!({"url": url, "expires_at": rfc3339(link.expires_at)}),
            &url,
        );
    }
    if command.wait {
        // One JSON document on stdout: the link goes where people look.
        if output.is_json() {
            eprintln!("{url}");
        }
        let connection = wait(&app, &link, output).await?;
        let key = &connection.key;
        output.result(
            &view::json(&app.settings.providers, &connection),
            &format!(
                "Connected {} of {}: {}, {}.",
                key.provider,
                shown(&key.account),
                key.id,
                connection.status.as_str()
            ),
        );
    }
    Ok(Exit::Success)
}

async fn wait(app: &App, link: &Link, output: &Output) -> Result<Connection, Failure> {
    let progress = Progress::new(output, None, "waiting for the browser");
    while app.now() < link.expires_at {
        tokio::time::sleep(EVERY).await;
        progress.advance(1);
        if !completed_links::is_completed(&app.store, link.id).await? {
            continue;
        }
        // The link is used up right before the connection is saved.
        for _ in 0..10 {
            let found = oauth_tokens::find(&app.store, &link.provider, &link.owner, None).await?;
            let newest = found.into_iter().max_by_key(|row| row.updated_at);
            if let Some(connection) = newest.filter(|row| row.updated_at >= made(link)) {
                return Ok(connection);
            }
            tokio::time::sleep(EVERY).await;
        }
        return Err(Failure::new(
            "not_connected",
            "the link was used, and nothing was connected: the browser says why",
        ));
    }
    Err(Failure::new(
        "not_connected",
        "nobody used the link in time: make another one",
    ))
}

/// When the link was made; the database's clock may be somewhat behind.
fn made(link: &Link) -> chrono::DateTime<chrono::Utc> {
    use grantkeep_core::connect::TTL;
    link.expires_at - chrono::TimeDelta::seconds(TTL + 60)
}
