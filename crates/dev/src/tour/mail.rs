//! What a connected mailbox is for: a message goes out, once.

use axum::http::Method;
use serde_json::{Value, json};

use super::{PROVIDER, Tour, expect, expect_status, shown, user};
use crate::client::{Answer, send_as};

/// Chosen by the caller, once for each message.
const KEY: &str = "tour-1";

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
}
