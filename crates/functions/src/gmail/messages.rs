//! `GET /api/gmail/messages`: what watches found, newest first.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;

use grantkeep_core::App;
use grantkeep_core::store::email_messages::{self, Filter, Message};

use crate::caller::{Caller, Reach};
use crate::extract::Query;
use crate::json::{json, rfc3339};
use crate::paging::Paging;
use crate::problem::Problem;

/// The JSON of a message. Instants are RFC 3339.
#[derive(Serialize)]
struct View {
    id: String,
    message_id: String,
    thread_id: String,
    connection_id: String,
    sender: String,
    subject: Option<String>,
    snippet: Option<String>,
    received_at: String,
    processed_at: String,
}

impl From<Message> for View {
    fn from(message: Message) -> Self {
        Self {
            id: message.id.to_string(),
            message_id: message.message_id,
            thread_id: message.thread_id,
            connection_id: message.connection_id.to_string(),
            sender: message.sender,
            subject: message.subject,
            snippet: message.snippet,
            received_at: rfc3339(message.received_at),
            processed_at: rfc3339(message.processed_at),
        }
    }
}

#[derive(Serialize)]
struct Page {
    messages: Vec<View>,
    /// Pass it as `cursor` for what follows; null at the end.
    next: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    query: Query,
) -> Result<Response, Problem> {
    let paging = Paging::of(&query)?;
    let Reach { workspace, actor } = Reach::of(&caller, &query)?;
    let sender = query
        .name("sender")?
        .map(|sender| sender.trim().to_lowercase());
    let (provider, account) = (query.name("provider")?, query.name("account")?);
    let filter = Filter {
        workspace: &workspace,
        actor: actor.as_deref(),
        provider: provider.as_deref(),
        account: account.as_deref(),
        connection: query.id("connection_id")?,
        sender: sender.as_deref(),
        since: instant(&query, "since")?,
        until: instant(&query, "until")?,
    };

    let mut rows = email_messages::list(&app.store, &filter, paging.after, paging.fetch()).await?;
    let next = paging.cut(&mut rows, |row| (row.received_at, row.id));
    let messages = rows.into_iter().map(View::from).collect();
    Ok(json(StatusCode::OK, &Page { messages, next }))
}

fn instant(query: &Query, name: &str) -> Result<Option<DateTime<Utc>>, Problem> {
    let Some(text) = query.one(name)? else {
        return Ok(None);
    };
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) => Ok(Some(at.to_utc())),
        Err(_) => Err(Problem::invalid(
            name,
            "must be a time such as 2026-11-20T09:30:00Z (a + in it is written %2B)",
        )),
    }
}
