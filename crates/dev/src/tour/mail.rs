//! What a connected mailbox is for: a message goes out, once, and what a sender writes is found.

use axum::http::Method;
use grantkeep_demo_provider::Delivery;
use serde_json::{Value, json};

use super::{PROVIDER, Tour, expect, expect_status, shown, user};
use crate::client::{Answer, get_as, send_as};

/// Chosen by the caller, once for each message.
const KEY: &str = "tour-1";
/// Who is watched.
const SENDER: &str = "specific@sender.com";

impl Tour {
    async fn post(&self, path: &str, body: &Value) -> Result<Answer, String> {
        send_as(&self.stack.service_key, Method::POST, &self.url(path), body).await
    }

    /// Sends the user a mail, and repeats the call as somebody whose answer got lost.
    pub(super) async fn send_once(&self) -> Result<(), String> {
        let message = json!({
            "provider": PROVIDER, "to": [user().email], "subject": "Grüße aus der Tour",
            "text": "It works.", "idempotency_key": KEY,
        });
        let first = self.post("/api/gmail/send", &message).await?;
        expect_status(&first, 200)?;
        shown(&format!("POST /api/gmail/send -> 200 {}", first.text));
        let second = self.post("/api/gmail/send", &message).await?;
        expect(
            second.text == first.text,
            "the same answer again",
            second.summary(),
        )?;

        let mailbox = self.demo()?.mailbox(user().email);
        let [arrived] = mailbox.as_slice() else {
            return Err(format!("expected one mail, saw {}", mailbox.len()));
        };
        let headers = arrived["payload"]["headers"].as_array();
        let subject = headers
            .into_iter()
            .flatten()
            .find(|header| header["name"] == "Subject")
            .and_then(|header| header["value"].as_str())
            .unwrap_or_default();
        expect(
            subject == message["subject"],
            "the subject as it was written",
            subject,
        )?;
        shown(&format!(
            "the same call with the same idempotency_key {KEY} -> 200 with the same ids; the \
             mailbox of {} has one mail: {subject}",
            user().email
        ));
        Ok(())
    }

    /// Watches a sender, lets two people write, and reads what the worker found.
    pub(super) async fn watch(&self) -> Result<(), String> {
        let watch = json!({"provider": PROVIDER, "sender": SENDER});
        let begun = self.post("/api/gmail/watches", &watch).await?;
        expect_status(&begun, 201)?;
        shown(&format!(
            "POST /api/gmail/watches, sender {SENDER} -> 201, query {}",
            begun.json()["query"]
        ));

        let letters = [
            (format!("Ann Bell <{SENDER}>"), "Your offer"),
            ("eve@other.example".to_owned(), "You have won"),
        ];
        let deliveries = letters.map(|(from, subject)| Delivery {
            account: user().email.to_owned(),
            from,
            subject: subject.to_owned(),
            text: "Please answer by Friday.".to_owned(),
            ..Delivery::default()
        });
        self.demo()?.deliver(&deliveries)?;
        shown(&format!("{SENDER} writes, and so does somebody else"));

        let secret = self.stack.cron_secret.as_deref().unwrap_or_default();
        let run = get_as(secret, &self.url("/api/cron/poll")).await?;
        expect_status(&run, 200)?;
        shown(&format!("GET /api/cron/poll -> 200 {}", run.text));

        let url = self.url(&format!("/api/gmail/messages?provider={PROVIDER}"));
        let answer = get_as(&self.stack.service_key, &url).await?;
        expect_status(&answer, 200)?;
        let body = answer.json();
        let found = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let [message] = found else {
            return Err(format!("expected one message, saw {}", found.len()));
        };
        expect(
            message["sender"] == SENDER && message["subject"] == "Your offer",
            "what that sender wrote",
            message,
        )?;
        shown(&format!(
            "GET /api/gmail/messages -> 200, one message: {} from {}",
            message["subject"], message["sender"]
        ));
        Ok(())
    }
}
