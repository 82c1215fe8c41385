//! Sending: what Gmail changes in a message on its way, and into which mailboxes it goes.

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use http::StatusCode;
use mail_parser::MessageParser;
use serde_json::{Value, json};

use super::fields::Fields;
use super::{Mail, date, incoming, now_ms};
use crate::account::{self, Account};
use crate::gate::Refusal;

/// As the API's discovery document says.
const MAX_RAW: usize = 36_700_160;
/// base64url, padded or not.
const RAW: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A message's bytes, and the thread it is for.
pub(crate) type Submitted = (Vec<u8>, Option<String>);

/// Reads `{"raw", "threadId"}`.
pub(crate) fn from_json(body: &[u8]) -> Result<Submitted, Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Refusal::invalid("Invalid JSON"))?;
    let raw = body["raw"].as_str().unwrap_or_default();
    let raw = RAW
        .decode(raw)
        .map_err(|_| Refusal::invalid("Invalid value for ByteString"))?;
    Ok((raw, body["threadId"].as_str().map(str::to_owned)))
}

/// Reads `multipart/related`: a JSON part and a `message/rfc822` part.
pub(crate) fn from_multipart(content_type: &str, body: &[u8]) -> Result<Submitted, Refusal> {
    let unreadable = || Refusal::invalid("Malformed multipart body.");
    let boundary = content_type
        .split(';')
        .filter_map(|parameter| parameter.trim().strip_prefix("boundary="))
        .map(|boundary| boundary.trim_matches('"'))
        .next()
        .ok_or_else(unreadable)?;
    let delimiter = format!("--{boundary}").into_bytes();
    let starts: Vec<usize> = body
        .windows(delimiter.len())
        .enumerate()
        .filter(|(at, window)| *window == delimiter && (*at == 0 || body[at - 1] == b'\n'))
        .map(|(at, _)| at)
        .collect();
    let parts: Vec<&[u8]> = starts
        .windows(2)
        .map(|pair| &body[pair[0] + delimiter.len()..pair[1]])
        .map(|part| part.strip_prefix(b"\r\n").unwrap_or(part))
        .map(|part| part.strip_suffix(b"\r\n").unwrap_or(part))
        .collect();
    let [metadata, message] = parts.as_slice() else {
        return Err(unreadable());
    };
    let (_, metadata) = Fields::split(metadata);
    let (head, message) = Fields::split(message);
    if head.first("Content-Type") != Some(b"message/rfc822".as_slice()) {
        return Err(Refusal::invalid("Media type is not supported."));
    }
    let metadata: Value = serde_json::from_slice(metadata).map_err(|_| unreadable())?;
    let thread = metadata["threadId"].as_str().map(str::to_owned);
    Ok((message.to_vec(), thread))
}

/// Sends for an account: puts the message into its mailbox, and into those of the accounts that
/// it is addressed to.
pub(crate) fn send(
    mail: &mut Mail,
    sender: &Account,
    raw: &[u8],
    thread: Option<&str>,
) -> Result<Value, Refusal> {
    if raw.len() > MAX_RAW {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(Refusal::new(
            status,
            "uploadTooLarge",
            "Request is too large.",
        ));
    }
    let recipients = recipients(raw)?;
    if let Some(thread) = thread
        && !mail
            .mailbox(sender)
            .messages
            .iter()
            .any(|message| message.thread == thread)
    {
        return Err(Refusal::not_found());
    }

    let now_ms = now_ms();
    let (mut fields, body) = Fields::split(raw);
    see_to_sender(&mut fields, sender);
    fields.add_absent("Date", &date(now_ms));
    // The API does not keep the id of a message that comes in this way, as SMTP would.
    let own_id = fields
        .first("Message-ID")
        .map(|id| String::from_utf8_lossy(id).into_owned());
    fields.remove("Message-ID");
    let message_id = format!("<CA{:016x}{now_ms:x}@mail.example.test>", mail.delivered);
    fields.add("Message-ID", &message_id);
    if let Some(own_id) = own_id {
        fields.add("X-Google-Original-Message-ID", &own_id);
    }

    let to_self = recipients.contains(&sender.email.to_owned());
    let mut labels = vec!["SENT".to_owned()];
    if to_self {
        labels.extend(incoming());
    }
    // Only the sender's own copy tells who was in Bcc.
    let sent = fields.with_body(body);
    let (id, thread) = mail.add(sender, sent, labels.clone(), now_ms, thread);
    fields.remove("Bcc");
    for recipient in recipients {
        if let Some(account) = account::find(&recipient)
            && account.email != sender.email
        {
            mail.add(account, fields.with_body(body), incoming(), now_ms, None);
        }
    }
    Ok(json!({"id": id, "threadId": thread, "labelIds": labels}))
}

/// `From` is the account, whatever the message says; a display name may stay.
fn see_to_sender(fields: &mut Fields, sender: &Account) {
    let own = fields
        .first("From")
        .is_some_and(|from| String::from_utf8_lossy(from).contains(sender.email));
    if !own {
        fields.remove("From");
        fields.add("From", &format!("{} <{}>", sender.name, sender.email));
    }
}

/// Every address in To, Cc and Bcc, in lower case and once.
fn recipients(raw: &[u8]) -> Result<Vec<String>, Refusal> {
    let parsed = MessageParser::default()
        .parse(raw)
        .ok_or_else(|| Refusal::invalid("Invalid message"))?;
    let mut recipients: Vec<String> = Vec::new();
    for (name, list) in [
        ("To", parsed.to()),
        ("Cc", parsed.cc()),
        ("Bcc", parsed.bcc()),
    ] {
        for address in list.into_iter().flat_map(|list| list.iter()) {
            let address = address.address().unwrap_or_default().to_lowercase();
            let well_formed = address.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.is_empty() && !address.contains(char::is_whitespace)
            });
            if !well_formed {
                return Err(Refusal::invalid(format!("Invalid {name} header")));
            }
            if !recipients.contains(&address) {
                recipients.push(address);
            }
        }
    }
    match recipients.is_empty() {
        true => Err(Refusal::invalid("Recipient address required")),
        false => Ok(recipients),
    }
}
