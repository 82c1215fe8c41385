//! The routes of the mail API. Which scopes open a method, and what a token with nothing but
//! `gmail.metadata` may not do, is as Google documents it.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::message::Format;
use super::query::Search;
use super::{Mailbox, Message, now_ms, send};
use crate::gate::{self, Caller, Method, Refusal};
use crate::parameters::Parameters;
use crate::scopes;
use crate::world::Shared;

const MESSAGES: &str = "/gmail/v1/users/{user}/messages";
const PAGE: usize = 100;
const MAX_PAGE: usize = 500;

/// Every route of the mail API.
pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/gmail/v1/users/{user}/profile", get(profile))
        .route(MESSAGES, get(list))
        .route("/gmail/v1/users/{user}/messages/send", post(send_message))
        .route(
            "/upload/gmail/v1/users/{user}/messages/send",
            post(send_upload),
        )
        .route("/gmail/v1/users/{user}/messages/{id}", get(show))
        .route("/gmail/v1/users/{user}/threads/{id}", get(thread))
        .route("/gmail/v1/users/{user}/history", get(history))
}

/// Refuses a mailbox that is not the caller's own.
fn require_own(user: &str, caller: &Caller) -> Result<(), Refusal> {
    match user == "me" || user.eq_ignore_ascii_case(caller.account.email) {
        true => Ok(()),
        false => Err(Refusal::forbidden(
            "forbidden",
            format!("Delegation denied for {}", caller.account.email),
        )),
    }
}

fn query(uri: &Uri) -> Parameters {
    Parameters::from_form(uri.query().unwrap_or_default().as_bytes())
}

fn page_size(asked: &Parameters) -> Result<usize, Refusal> {
    match asked.get("maxResults").map(str::parse::<usize>) {
        None => Ok(PAGE),
        Some(Ok(size)) => Ok(size.clamp(1, MAX_PAGE)),
        Some(Err(_)) => Err(Refusal::invalid("Invalid value for maxResults")),
    }
}

async fn profile(
    State(shared): State<Shared>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Response {
    const METHOD: Method = Method {
        name: "gmail.users.getProfile",
        scopes: scopes::MAIL_PROFILE,
    };
    gate::call(&shared, &headers, &METHOD, |world, caller| {
        require_own(&user, caller)?;
        let mailbox = world.mail.mailbox(caller.account);
        let threads: std::collections::BTreeSet<&str> = mailbox
            .messages
            .iter()
            .map(|message| message.thread.as_str())
            .collect();
        Ok(json!({
            "emailAddress": caller.account.email,
            "messagesTotal": mailbox.messages.len(),
            "threadsTotal": threads.len(),
            "historyId": mailbox.history.to_string(),
        }))
    })
    .await
}

async fn list(
    State(shared): State<Shared>,
    Path(user): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    const METHOD: Method = Method {
        name: "gmail.users.messages.list",
        scopes: scopes::MAIL_READ,
    };
    gate::call(&shared, &headers, &METHOD, |world, caller| {
        require_own(&user, caller)?;
        let asked = query(&uri);
        if asked.get("q").is_some() && !caller.has_any(scopes::MAIL_ALL) {
            return Err(Refusal::forbidden(
                "forbidden",
                "Metadata scope does not support 'q' parameter",
            ));
        }
        listed(world.mail.mailbox(caller.account), &asked)
    })
    .await
}

/// Newest first. A page token names the message that the page before ended with, so that mail
/// that comes in meanwhile moves nothing.
fn listed(mailbox: &Mailbox, asked: &Parameters) -> Result<Value, Refusal> {
    let size = page_size(asked)?;
    let search = Search::parse(asked.get("q").unwrap_or_default(), now_ms() / 1000);
    let anywhere = search.anywhere || asked.get("includeSpamTrash") == Some("true");
    let mut found: Vec<&Message> = mailbox
        .messages
        .iter()
        .filter(|message| anywhere || !(message.has_label("SPAM") || message.has_label("TRASH")))
        .filter(|message| asked.all("labelIds").all(|label| message.has_label(label)))
        .filter(|message| search.finds(message))
        .collect();
    let order = |message: &Message| (message.received_at_ms, message.id.clone());
    found.sort_by_key(|message| std::cmp::Reverse(order(message)));
    if let Some(token) = asked.get("pageToken") {
        let last = mailbox
            .find(token)
            .ok_or_else(|| Refusal::invalid("Invalid pageToken"))?;
        found.retain(|message| order(message) < order(last));
    }
    let estimate = found.len();
    let more = found.len() > size;
    found.truncate(size);
    let mut answer = json!({"resultSizeEstimate": estimate});
    if let Some(last) = found.last() {
        if more {
            answer["nextPageToken"] = last.id.clone().into();
        }
        answer["messages"] = found.iter().map(|message| message.reference()).collect();
    }
    Ok(answer)
}

fn format(asked: &Parameters, caller: &Caller) -> Result<Format, Refusal> {
    let format = match asked.get("format").map(str::to_ascii_lowercase).as_deref() {
        None | Some("full") => Format::Full,
        Some("minimal") => Format::Minimal,
        Some("metadata") => Format::Metadata,
        Some("raw") => Format::Raw,
        Some(_) => return Err(Refusal::invalid("Invalid value for format")),
    };
    let whole = matches!(format, Format::Full | Format::Raw);
    if whole && !caller.has_any(scopes::MAIL_ALL) {
        return Err(Refusal::forbidden(
            "forbidden",
            "Metadata scope doesn't allow format FULL",
        ));
    }
    Ok(format)
}

async fn show(
    State(shared): State<Shared>,
    Path((user, id)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    const METHOD: Method = Method {
        name: "gmail.users.messages.get",
        scopes: scopes::MAIL_READ,
    };
    gate::call(&shared, &headers, &METHOD, |world, caller| {
        require_own(&user, caller)?;
        let asked = query(&uri);
        let format = format(&asked, caller)?;
        let only: Vec<String> = asked.all("metadataHeaders").map(str::to_owned).collect();
        let mailbox = world.mail.mailbox(caller.account);
        let message = mailbox.find(&id).ok_or_else(Refusal::not_found)?;
        Ok(message.shown(format, &only))
    })
    .await
}

async fn thread(
    State(shared): State<Shared>,
    Path((user, id)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    const METHOD: Method = Method {
        name: "gmail.users.threads.get",
        scopes: scopes::MAIL_READ,
    };
    gate::call(&shared, &headers, &METHOD, |world, caller| {
        require_own(&user, caller)?;
        let asked = query(&uri);
        let format = format(&asked, caller)?;
        let only: Vec<String> = asked.all("metadataHeaders").map(str::to_owned).collect();
        let mailbox = world.mail.mailbox(caller.account);
        let messages: Vec<Value> = mailbox
            .messages
            .iter()
            .filter(|message| message.thread == id)
            .map(|message| message.shown(format, &only))
            .collect();
        match messages.is_empty() {
            true => Err(Refusal::not_found()),
            false => Ok(json!({
                "id": id, "historyId": mailbox.history.to_string(), "messages": messages,
            })),
        }
    })
    .await
}

async fn history(
    State(shared): State<Shared>,
    Path(user): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    const METHOD: Method = Method {
        name: "gmail.users.history.list",
        scopes: scopes::MAIL_READ,
    };
    gate::call(&shared, &headers, &METHOD, |world, caller| {
        require_own(&user, caller)?;
        let too_old = world.knobs.history_too_old;
        let mailbox = world.mail.mailbox(caller.account);
        let asked = query(&uri);
        let start: u64 = asked
            .get("startHistoryId")
            .and_then(|start| start.parse().ok())
            .ok_or_else(|| Refusal::invalid("Missing or invalid startHistoryId"))?;
        if too_old || start < mailbox.forgotten {
            return Err(Refusal::not_found());
        }
        changes(mailbox, start, &asked)
    })
    .await
}

/// What happened after `start`, oldest first. Messages that come in are all that happens here.
fn changes(mailbox: &Mailbox, start: u64, asked: &Parameters) -> Result<Value, Refusal> {
    let size = page_size(asked)?;
    let from = match asked.get("pageToken").map(str::parse::<u64>) {
        None => start,
        Some(Ok(token)) => token.max(start),
        Some(Err(_)) => return Err(Refusal::invalid("Invalid pageToken")),
    };
    let mut types = asked.all("historyTypes").peekable();
    let wanted = types.peek().is_none() || types.any(|kind| kind == "messageAdded");
    let mut found: Vec<&Message> = mailbox
        .messages
        .iter()
        .filter(|message| wanted && message.history > from)
        .filter(|message| asked.all("labelId").all(|label| message.has_label(label)))
        .collect();
    let more = found.len() > size;
    found.truncate(size);
    let mut answer = json!({"historyId": mailbox.history.to_string()});
    if let Some(last) = found.last() {
        if more {
            answer["nextPageToken"] = last.history.to_string().into();
        }
        answer["history"] = found.iter().map(|message| added(message)).collect();
    }
    Ok(answer)
}

fn added(message: &Message) -> Value {
    let mut with_labels = message.reference();
    with_labels["labelIds"] = message.labels.clone().into();
    json!({
        "id": message.history.to_string(),
        "messages": [message.reference()],
        "messagesAdded": [{"message": with_labels}],
    })
}

const SEND: Method = Method {
    name: "gmail.users.messages.send",
    scopes: scopes::MAIL_SEND,
};

async fn send_message(
    State(shared): State<Shared>,
    Path(user): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    gate::call(&shared, &headers, &SEND, |world, caller| {
        require_own(&user, caller)?;
        let (raw, thread) = send::from_json(&body)?;
        send::send(&mut world.mail, caller.account, &raw, thread.as_deref())
    })
    .await
}

async fn send_upload(
    State(shared): State<Shared>,
    Path(user): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let kind = query(&uri);
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let read = match kind.get("uploadType") {
        Some("media") => Ok((body.to_vec(), None)),
        Some("multipart") => send::from_multipart(&content_type, &body),
        _ => Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "notImplemented",
            "uploadType must be media or multipart here",
        )),
    };
    let (raw, thread) = match read {
        Ok(read) => read,
        Err(refusal) => return refusal.into_response(),
    };
    gate::call(&shared, &headers, &SEND, |world, caller| {
        require_own(&user, caller)?;
        send::send(&mut world.mail, caller.account, &raw, thread.as_deref())
    })
    .await
}
