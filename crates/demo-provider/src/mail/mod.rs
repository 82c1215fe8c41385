//! A little Gmail: a mailbox for each account, in memory, with ids, threads and a history.

mod fields;
mod message;
mod query;
mod routes;
mod send;

use std::collections::HashMap;

use crate::account::Account;
use crate::mail::fields::Fields;

pub(crate) use self::message::Message;
pub(crate) use self::routes::router;

/// Ids are sixteen hexadecimal digits; this makes them look like today's.
const FIRST_ID: u64 = 0x1940_0000_0000_0000;
/// How far a change moves a mailbox's history on. More than one, as at the real one.
const HISTORY_STEP: u64 = 3;

/// A message for [`DemoProvider::deliver`](crate::DemoProvider::deliver), as if it came from
/// outside.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// The account whose mailbox it comes into: an e-mail address.
    pub account: String,
    /// `From`, for example `Ann <ann@sender.example>`.
    pub from: String,
    /// `Subject`.
    pub subject: String,
    /// The text.
    pub text: String,
    /// When it arrived, in milliseconds since 1970; absent is now.
    pub received_at_ms: Option<i64>,
    /// More header fields, name and value.
    pub headers: Vec<(String, String)>,
    /// Labels; empty is `INBOX` and `UNREAD`.
    pub labels: Vec<String>,
}

/// Every mailbox.
#[derive(Default)]
pub(crate) struct Mail {
    boxes: HashMap<&'static str, Mailbox>,
    delivered: u64,
}

/// One account's messages in the order in which they came in.
pub(crate) struct Mailbox {
    pub(crate) messages: Vec<Message>,
    /// The id of the last change.
    pub(crate) history: u64,
    /// Changes up to this one can no longer be asked for.
    pub(crate) forgotten: u64,
}

impl Default for Mailbox {
    fn default() -> Self {
        Mailbox {
            messages: Vec::new(),
            history: 1,
            forgotten: 0,
        }
    }
}

impl Mail {
    /// An account's mailbox; one that nothing came into is empty.
    pub(crate) fn mailbox(&mut self, account: &Account) -> &mut Mailbox {
        self.boxes.entry(account.email).or_default()
    }

    /// Puts a message into a mailbox; `thread` is one that the mailbox has. Answers its id and
    /// its thread's.
    pub(crate) fn add(
        &mut self,
        account: &Account,
        raw: Vec<u8>,
        labels: Vec<String>,
        received_at_ms: i64,
        thread: Option<&str>,
    ) -> (String, String) {
        self.delivered += 1;
        let id = format!("{:016x}", FIRST_ID + self.delivered);
        let mailbox = self.boxes.entry(account.email).or_default();
        mailbox.history += HISTORY_STEP;
        let mut message = Message::new(id.clone(), raw, labels, received_at_ms, mailbox.history);
        let thread = mailbox.thread_for(&message, thread).unwrap_or(id.clone());
        message.thread.clone_from(&thread);
        mailbox.messages.push(message);
        (id, thread)
    }

    /// Puts a message from outside into a mailbox.
    pub(crate) fn deliver(&mut self, account: &Account, delivery: &Delivery) -> (String, String) {
        let now_ms = now_ms();
        let message_id = format!("<{}.{now_ms}@sender.example>", self.delivered);
        let mut fields = Fields::default();
        fields.add("From", &delivery.from);
        fields.add("To", account.email);
        fields.add("Subject", &delivery.subject);
        for (name, value) in &delivery.headers {
            fields.add(name, value);
        }
        let received_at_ms = delivery.received_at_ms.unwrap_or(now_ms);
        fields.add_absent("Date", &date(received_at_ms));
        fields.add_absent("Message-ID", &message_id);
        fields.add_absent("Content-Type", "text/plain; charset=utf-8");
        let labels = match delivery.labels.is_empty() {
            true => incoming(),
            false => delivery.labels.clone(),
        };
        let raw = fields.with_body(delivery.text.as_bytes());
        self.add(account, raw, labels, received_at_ms, None)
    }
}

impl Mail {
    /// Makes every change so far too old to be asked for.
    pub(crate) fn forget_history(&mut self) {
        for mailbox in self.boxes.values_mut() {
            mailbox.history += HISTORY_STEP;
            mailbox.forgotten = mailbox.history;
        }
    }
}

impl Mailbox {
    /// The thread that a message belongs to: the one asked for, or that of a message it refers
    /// to; in either case only under the same subject, as Gmail has it.
    fn thread_for(&self, message: &Message, wanted: Option<&str>) -> Option<String> {
        let references = message.references();
        let related = self.messages.iter().rev().find(|known| {
            let named = match wanted {
                Some(thread) => known.thread == thread,
                None => known
                    .header("Message-ID")
                    .is_some_and(|id| references.iter().any(|reference| reference == id)),
            };
            named && known.base_subject() == message.base_subject()
        })?;
        Some(related.thread.clone())
    }

    /// A message of this mailbox.
    pub(crate) fn find(&self, id: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.id == id)
    }
}

/// Labels of a message that came in.
pub(crate) fn incoming() -> Vec<String> {
    vec!["INBOX".to_owned(), "UNREAD".to_owned()]
}

/// The time now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A `Date` header field.
pub(crate) fn date(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .unwrap_or_default()
        .to_rfc2822()
}
