//! A message that is to be sent: what may be in it, and its bytes (RFC 5322, MIME).

use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, Utc};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Written;
use mail_builder::headers::message_id::MessageId;

use super::address::{Address, ENCODED_WORD, has_encoded_word};

/// As the mail API has it: more are refused there.
pub const MAX_RECIPIENTS: usize = 500;
const MAX_SUBJECT: usize = 998;
const MAX_FILE_NAME: usize = 255;
const MAX_MESSAGE_ID: usize = 998;
const MAX_REFERENCES: usize = 100;
const MAX_ATTACHMENTS: usize = 100;
/// Names this message in the mailbox it was sent from, for [`super::recover`].
pub const MARKER: &str = "X-Grantkeep-Id";

/// A message, its fields not yet checked.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// What people see before the account's own address.
    pub from_name: Option<String>,
    /// `To`.
    pub to: Vec<Address>,
    /// `Cc`.
    pub cc: Vec<Address>,
    /// `Bcc`: the API reads it from the message and takes it out of what recipients get.
    pub bcc: Vec<Address>,
    /// `Reply-To`.
    pub reply_to: Vec<Address>,
    /// `Subject`.
    pub subject: String,
    /// The plain text.
    pub text: Option<String>,
    /// The HTML; with a text beside it, mail programs choose.
    pub html: Option<String>,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// The `Message-ID` of the message that this one answers.
    pub in_reply_to: Option<String>,
    /// The `Message-ID`s of the conversation, oldest first.
    pub references: Vec<String>,
    /// The conversation in the sender's mailbox.
    pub thread_id: Option<String>,
}

/// A file in a message.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// With its ending.
    pub filename: String,
    /// A media type, such as `text/csv`.
    pub content_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// A field that cannot be sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field} {message}")]
pub struct Invalid {
    /// Such as `attachments[0].filename`.
    pub field: String,
    /// What to do.
    pub message: &'static str,
}

fn invalid(field: impl Into<String>, message: &'static str) -> Invalid {
    Invalid {
        field: field.into(),
        message,
    }
}

const CONTROL: &str = "must have no line breaks and no control characters";

impl Outgoing {
    /// Checks everything but the addresses, which were checked when they were read. Message ids
    /// lose their angle brackets; a reply without references refers to what it answers.
    pub fn checked(mut self) -> Result<Self, Invalid> {
        if let Some(name) = &self.from_name {
            line(
                "from_name",
                name,
                MAX_FILE_NAME,
                "must have at most 255 bytes",
            )?;
        }
        line(
            "subject",
            &self.subject,
            MAX_SUBJECT,
            "must have at most 998 bytes",
        )?;
        let recipients = self.to.len() + self.cc.len() + self.bcc.len();
        if recipients == 0 {
            return Err(invalid("to", "needs an address, or cc or bcc does"));
        }
        if recipients > MAX_RECIPIENTS {
            let message = "must have at most 500 addresses, those of cc and bcc included";
            return Err(invalid("to", message));
        }
        if self.text.is_none() && self.html.is_none() && self.attachments.is_empty() {
            return Err(invalid(
                "text",
                "is missing, and so are html and attachments",
            ));
        }
        if self.attachments.len() > MAX_ATTACHMENTS {
            return Err(invalid("attachments", "must be at most 100"));
        }
        for (position, attachment) in self.attachments.iter().enumerate() {
            attachment.check(&format!("attachments[{position}]"))?;
        }
        if let Some(id) = &mut self.in_reply_to {
            *id = message_id("in_reply_to", id)?;
        }
        if self.references.len() > MAX_REFERENCES {
            return Err(invalid("references", "must be at most 100"));
        }
        for (position, id) in self.references.iter_mut().enumerate() {
            *id = message_id(&format!("references[{position}]"), id)?;
        }
        if self.references.is_empty() {
            self.references.extend(self.in_reply_to.clone());
        }
        let thread = self.thread_id.as_deref();
        if thread.is_some_and(|id| {
            !(1..=64).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }) {
            return Err(invalid(
                "thread_id",
                "must be a thread_id of an earlier answer",
            ));
        }
        Ok(self)
    }

    /// Tells the same message from another one.
    pub fn fingerprint(&self) -> Vec<u8> {
        let mut digest = Context::new(&SHA256);
        let mut add = |part: &[u8]| {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part);
        };
        for list in [&self.to, &self.cc, &self.bcc, &self.reply_to] {
            add(&list.len().to_be_bytes());
            for address in list {
                add(address.name.as_deref().unwrap_or_default().as_bytes());
                add(address.email.as_bytes());
            }
        }
        add(self.subject.as_bytes());
        for text in [
            &self.from_name,
            &self.text,
            &self.html,
            &self.in_reply_to,
            &self.thread_id,
        ] {
            add(&[u8::from(text.is_some())]);
            add(text.as_deref().unwrap_or_default().as_bytes());
        }
        add(&self.references.len().to_be_bytes());
        for reference in &self.references {
            add(reference.as_bytes());
        }
        for attachment in &self.attachments {
            add(attachment.filename.as_bytes());
            add(attachment.content_type.as_bytes());
            add(&attachment.content);
        }
        digest.finish().as_ref().to_vec()
    }

    /// Its bytes, from an account; `marker` names it in the mailbox.
    pub fn to_bytes(
        &self,
        account: &str,
        id: &str,
        marker: Option<&str>,
        now: DateTime<Utc>,
    ) -> Vec<u8> {
        let own = Address::parse(account).ok();
        let domain = own.as_ref().map_or("localhost", Address::domain);
        let mut message = MessageBuilder::new()
            .message_id(format!("{id}@{domain}"))
            .date(now.timestamp())
            .subject(self.subject.as_str());
        // An account that is no address is known to the API by its token alone.
        if let Some(own) = &own {
            message = message.from(Written::new_address(
                self.from_name.as_deref(),
                own.email.as_str(),
            ));
        }
        for (name, list) in [
            ("To", &self.to),
            ("Cc", &self.cc),
            ("Bcc", &self.bcc),
            ("Reply-To", &self.reply_to),
        ] {
            if !list.is_empty() {
                message =
                    message.header(name, Written::new_list(list.iter().map(written).collect()));
            }
        }
        if let Some(id) = &self.in_reply_to {
            message = message.in_reply_to(id.as_str());
        }
        if !self.references.is_empty() {
            message = message.references(MessageId::new_list(
                self.references.iter().map(String::as_str),
            ));
        }
        if let Some(marker) = marker {
            let marker = mail_builder::headers::raw::Raw::new(marker);
            message = message.header(MARKER, marker);
        }
        if let Some(text) = &self.text {
            message = message.text_body(text.as_str());
        }
        if let Some(html) = &self.html {
            message = message.html_body(html.as_str());
        }
        for attachment in &self.attachments {
            message = message.attachment(
                attachment.content_type.as_str(),
                attachment.filename.as_str(),
                attachment.content.as_slice(),
            );
        }
        let mut bytes = Vec::new();
        message.serialize(&mut bytes);
        bytes
    }
}

fn written(address: &Address) -> Written<'_> {
    Written::new_address(address.name.as_deref(), address.email.as_str())
}

impl Attachment {
    fn check(&self, field: &str) -> Result<(), Invalid> {
        let at = |name: &str| format!("{field}.{name}");
        let long = "must have 1 to 255 bytes";
        line(&at("filename"), &self.filename, MAX_FILE_NAME, long)?;
        if self.filename.is_empty() {
            return Err(invalid(at("filename"), long));
        }
        if !is_media_type(&self.content_type) {
            let message = "must be a media type such as text/csv, without parameters";
            return Err(invalid(at("content_type"), message));
        }
        let kind = self.content_type.to_ascii_lowercase();
        if kind.starts_with("multipart/") || kind.starts_with("message/") {
            let message = "cannot be that of a whole message; send it as application/octet-stream";
            return Err(invalid(at("content_type"), message));
        }
        Ok(())
    }
}

/// A text that stays on one line of the header.
fn line(field: &str, text: &str, max: usize, long: &'static str) -> Result<(), Invalid> {
    if text.chars().any(char::is_control) {
        return Err(invalid(field, CONTROL));
    }
    if has_encoded_word(text) {
        return Err(invalid(field, ENCODED_WORD));
    }
    match text.len() <= max {
        true => Ok(()),
        false => Err(invalid(field, long)),
    }
}

/// `type/subtype` of RFC 9110 tokens.
fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        let special = |byte: &u8| b"!#$%&'*+-.^_`|~".contains(byte);
        (1..=127).contains(&part.len())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || special(&byte))
    };
    text.split_once('/')
        .is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

/// A message id without its angle brackets.
fn message_id(field: &str, text: &str) -> Result<String, Invalid> {
    let text = text.trim_matches(' ');
    let bare = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'))
        .unwrap_or(text);
    let fits = (1..=MAX_MESSAGE_ID).contains(&bare.len())
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'<' && byte != b'>');
    match fits {
        true => Ok(bare.to_owned()),
        false => Err(invalid(
            field,
            "must be the Message-ID of a message: <id@host>",
        )),
    }
}
