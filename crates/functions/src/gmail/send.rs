//! `POST /api/gmail/send`: sends a message from a connected mailbox.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use grantkeep_core::App;
use grantkeep_core::connection::{Owner, name};
use grantkeep_core::gmail::address::Address;
use grantkeep_core::gmail::message::{Attachment, Invalid, Outgoing};
use grantkeep_core::gmail::send;
use grantkeep_core::service_key::Permission;
use grantkeep_core::tokens::Wanted;

use super::mailbox;
use super::problem::of_sending;
use crate::caller::ServiceKey;
use crate::extract::LargeJson;
use crate::json::json;
use crate::problem::Problem;
use crate::service::Noted;

/// What to send, and from where. A misspelt field is an error: a message without its `bcc` is not
/// the one that was meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    provider: String,
    workspace: Option<String>,
    actor: Option<String>,
    account: Option<String>,
    from_name: Option<String>,
    #[serde(default)]
    to: Addresses,
    #[serde(default)]
    cc: Addresses,
    #[serde(default)]
    bcc: Addresses,
    #[serde(default)]
    reply_to: Addresses,
    #[serde(default)]
    subject: String,
    text: Option<String>,
    html: Option<String>,
    #[serde(default)]
    attachments: Vec<File>,
    in_reply_to: Option<String>,
    #[serde(default)]
    references: References,
    thread_id: Option<String>,
    idempotency_key: Option<String>,
}

/// One address, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Addresses {
    One(String),
    Many(Vec<String>),
}

impl Default for Addresses {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// As in the header, separated by spaces, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum References {
    Header(String),
    Many(Vec<String>),
}

impl Default for References {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    filename: String,
    content_type: Option<String>,
    content_base64: String,
}

#[derive(Serialize)]
struct Answer {
    id: String,
    thread_id: String,
}

/// Sends, and answers the message's ids in the sender's mailbox.
pub async fn send(
    State(app): State<App>,
    key: ServiceKey,
    headers: HeaderMap,
    LargeJson(ask): LargeJson<Ask>,
) -> Result<Response, Problem> {
    let owner = Owner::new(ask.workspace.as_deref(), ask.actor.as_deref())?;
    key.require(Permission::Send, &owner.workspace)?;
    let mail = mailbox(&app, &ask.provider)?;
    let account = ask
        .account
        .as_deref()
        .map(|account| name("account", account))
        .transpose()?;
    let idempotency_key = idempotency_key(&headers, ask.idempotency_key.as_deref())?;
    let message = message(ask)?;
    let wanted = Wanted {
        owner,
        account,
        scopes: Default::default(),
        mode: Default::default(),
        min_ttl: None,
        rejected: None,
    };

    let result = send::send(&app, &mail, wanted, &message, idempotency_key.as_deref()).await;
    let noted = Noted {
        provider: Some(mail.provider.name.clone()),
        connection: result
            .as_ref()
            .ok()
            .map(|sent| sent.connection.key.id.to_string()),
        key: Some(key.0.name.clone()),
        token: None,
    };
    let mut response = match result {
        Ok(sent) => {
            let answer = Answer {
                id: sent.message.message_id,
                thread_id: sent.message.thread_id,
            };
            json(StatusCode::OK, &answer)
        }
        Err(error) => of_sending(&app, &mail.provider.name, error).into_response(),
    };
    response.extensions_mut().insert(noted);
    Ok(response)
}

/// The key of the header or of the body; of both only if they agree.
fn idempotency_key(headers: &HeaderMap, body: Option<&str>) -> Result<Option<String>, Problem> {
    const FIELD: &str = "idempotency_key";
    let mut sent = headers.get_all("idempotency-key").iter();
    let header = sent.next().map(|value| value.to_str().unwrap_or_default());
    if sent.next().is_some() || header.zip(body).is_some_and(|(one, other)| one != other) {
        return Err(Problem::invalid(FIELD, "is given more than once"));
    }
    let Some(key) = header.or(body) else {
        return Ok(None);
    };
    let fits = (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    match fits {
        true => Ok(Some(key.to_owned())),
        false => Err(Problem::invalid(
            FIELD,
            "must be 1 to 255 visible ASCII characters, such as a UUID",
        )),
    }
}

fn message(ask: Ask) -> Result<Outgoing, Problem> {
    let outgoing = Outgoing {
        from_name: ask.from_name,
        to: addresses("to", ask.to)?,
        cc: addresses("cc", ask.cc)?,
        bcc: addresses("bcc", ask.bcc)?,
        reply_to: addresses("reply_to", ask.reply_to)?,
        subject: ask.subject,
        text: ask.text,
        html: ask.html,
        attachments: attachments(ask.attachments)?,
        in_reply_to: ask.in_reply_to,
        references: match ask.references {
            References::Many(ids) => ids,
            References::Header(ids) => ids
                .split(' ')
                .filter(|id| !id.is_empty())
                .map(str::to_owned)
                .collect(),
        },
        thread_id: ask.thread_id,
    };
    outgoing
        .checked()
        .map_err(|Invalid { field, message }| Problem::invalid(&field, message))
}

fn addresses(field: &str, given: Addresses) -> Result<Vec<Address>, Problem> {
    let read = |field: &str, text: &str| {
        Address::parse(text).map_err(|message| Problem::invalid(field, message))
    };
    match given {
        Addresses::One(text) => Ok(vec![read(field, &text)?]),
        Addresses::Many(texts) => texts
            .iter()
            .enumerate()
            .map(|(position, text)| read(&format!("{field}[{position}]"), text))
            .collect(),
    }
}

fn attachments(files: Vec<File>) -> Result<Vec<Attachment>, Problem> {
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let read = |(position, file): (usize, File)| {
        let content = BASE64.decode(&file.content_base64).map_err(|_| {
            let field = format!("attachments[{position}].content_base64");
            Problem::invalid(&field, "must be base64 without line breaks")
        })?;
        Ok(Attachment {
            filename: file.filename,
            content_type: file
                .content_type
                .unwrap_or_else(|| "application/octet-stream".to_owned()),
            content,
        })
    };
    files.into_iter().enumerate().map(read).collect()
}
