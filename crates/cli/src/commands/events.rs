//! `grantkeep events`: what happened to connections, and whether webhooks were told.

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use grantkeep_core::store::connection_events::{self, Cursor, Event, Filter};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::failure::{Exit, Failure};
use crate::output::{Output, Table};
use crate::settings;
use crate::time::{rfc3339, span};
use crate::view::shown;

/// How many rows are read at once.
const PAGE: i64 = 500;

/// List events, oldest first: consent, refreshes that fail, dead grants, and their webhooks
#[derive(Args)]
pub struct Events {
    /// Only of this type, such as connection.reauthorization_required
    #[arg(long = "type")]
    kind: Option<String>,
    /// Only of this connection
    #[arg(long)]
    connection: Option<Uuid>,
    /// Only of this provider
    #[arg(long)]
    provider: Option<String>,
    /// Only of this workspace
    #[arg(long)]
    workspace: Option<String>,
    /// Only from then on: 2026-11-20T12:00:00Z, or so long ago: 90m, 24h, 7d
    #[arg(long, value_parser = since, default_value = "24h")]
    since: Since,
    /// No more than so many
    #[arg(long)]
    limit: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Since {
    Then(DateTime<Utc>),
    Ago(TimeDelta),
}

fn since(text: &str) -> Result<Since, String> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) => Ok(Since::Then(at.to_utc())),
        Err(_) => span(text).map(Since::Ago).map_err(|_| {
            "must be a time such as 2026-11-20T12:00:00Z, or so long ago: 90m, 24h, 7d".to_owned()
        }),
    }
}

/// Prints them page by page.
pub async fn run(command: &Events, output: &Output) -> Result<Exit, Failure> {
    let store = settings::store()?;
    let filter = Filter {
        kind: command.kind.clone(),
        connection_id: command.connection,
        provider: command.provider.clone(),
        workspace: command.workspace.clone(),
        since: Some(match command.since {
            Since::Then(at) => at,
            Since::Ago(length) => Utc::now() - length,
        }),
    };
    let mut table = Table::new([
        "TIME",
        "TYPE",
        "PROVIDER",
        "WORKSPACE",
        "ACTOR",
        "WEBHOOK",
        "DATA",
    ]);
    if output.is_json() {
        output.line("{\"events\":[");
    }
    let mut left = command.limit.unwrap_or(u64::MAX);
    let (mut after, mut count) = (None::<Cursor>, 0_u64);
    while left > 0 {
        let wanted = i64::try_from(left).unwrap_or(PAGE).min(PAGE);
        let page = connection_events::list(&store, &filter, after, wanted).await?;
        after = page.last().map(|event| (event.created_at, event.id));
        match output.is_json() {
            true => {
                for (number, event) in (count..).zip(&page) {
                    let comma = if number == 0 { "" } else { "," };
                    output.line(&format!("{comma}{}", view(event)));
                }
            }
            false => {
                let rows: Vec<[String; 7]> = page.iter().map(cells).collect();
                table.page(output, &rows);
            }
        }
        count += page.len() as u64;
        left -= page.len() as u64;
        if (page.len() as i64) < wanted {
            break;
        }
    }
    match output.is_json() {
        true => output.line("]}"),
        false if count == 0 => output.note("No events."),
        false => {}
    }
    Ok(Exit::Success)
}

fn view(event: &Event) -> Value {
    json!({
        "id": event.id.to_string(),
        "type": event.kind,
        "created_at": rfc3339(event.created_at),
        "connection_id": event.connection_id.map(|id| id.to_string()),
        "provider": event.provider,
        "workspace": event.workspace,
        "actor": event.actor,
        "account": event.account,
        "data": event.data,
        "delivered_at": event.delivered_at.map(rfc3339),
        "delivery_attempts": event.delivery_attempts,
        "delivery_error": event.delivery_error,
        "delivery_given_up": event.delivery_given_up,
    })
}

fn cells(event: &Event) -> [String; 7] {
    let name = |name: &Option<String>| name.as_deref().map(shown).unwrap_or_default();
    let webhook = match (&event.delivered_at, &event.delivery_error) {
        (Some(at), _) => format!("delivered {}", rfc3339(*at)),
        (None, Some(error)) if event.delivery_given_up => format!("given up: {error}"),
        (None, Some(error)) => format!("waits: {error}"),
        (None, None) => String::new(),
    };
    [
        rfc3339(event.created_at),
        event.kind.clone(),
        event.provider.clone(),
        name(&event.workspace),
        name(&event.actor),
        webhook,
        event.data.to_string(),
    ]
}
