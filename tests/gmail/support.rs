//! A connected mailbox, and messages sent from it.

use grantkeep_tests::api::session;
use grantkeep_tests::{Consent, Reply, TestApi};
use serde_json::{Value, json};

pub const ALICE: &str = "alice@example.test";
pub const BOB: &str = "bob@example.test";
pub const SEND: &str = "https://www.googleapis.com/auth/gmail.send";
pub const READONLY: &str = "https://www.googleapis.com/auth/gmail.readonly";

/// Connects alice's mailbox with the right to send.
pub async fn connected() -> TestApi {
    let api = TestApi::start().await;
    connect(&api, &Consent::default()).await;
    api
}

/// Asks for the right to send, and consents.
pub async fn connect(api: &TestApi, consent: &Consent) {
    let session = session("default", "default");
    let path = format!("/api/oauth/gmail/authorize?session={session}&scope={SEND}&return_to=/done");
    let reply = api.visitor().connect(&path, consent).await;
    assert_eq!(reply.status, 303, "{}", reply.text);
}

/// A message to bob with these members changed.
pub fn message(over: Value) -> Value {
    let mut message = json!({
        "provider": "gmail", "to": [BOB], "subject": "Your offer", "text": "It is accepted.",
    });
    let Value::Object(over) = over else {
        panic!("members are an object");
    };
    message.as_object_mut().expect("an object").extend(over);
    message
}

pub async fn send(api: &TestApi, message: &Value) -> Reply {
    api.send_json("POST", "/api/gmail/send", message).await
}

/// What has come into bob's mailbox.
pub fn bobs(api: &TestApi) -> Vec<Value> {
    api.provider.mailbox(BOB)
}

/// A header field of a message, decoded.
pub fn header<'a>(message: &'a Value, name: &str) -> Option<&'a str> {
    let headers = message["payload"]["headers"].as_array()?;
    let found = headers.iter().find(|header| {
        header["name"]
            .as_str()
            .is_some_and(|n| n.eq_ignore_ascii_case(name))
    })?;
    found["value"].as_str()
}

/// How often the mail API was asked to send.
pub fn sendings(api: &TestApi) -> usize {
    api.provider.calls_of("gmail.users.messages.send")
}
