//! Sending: what goes where, what Gmail changes, and what it refuses.

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use grantkeep_demo_provider::client::DEMO_CLIENT_ID;
use serde_json::{Value, json};

use crate::harness::{Answer, Demo, READ, SEND};

const SEND_PATH: &str = "/gmail/v1/users/me/messages/send";

async fn send(demo: &Demo, raw: &str, thread: Option<&str>) -> Answer {
    let token = token(demo, SEND);
    let mut body = json!({"raw": URL_SAFE.encode(raw)});
    if let Some(thread) = thread {
        body["threadId"] = thread.into();
    }
    let post = demo.http.post(demo.url(SEND_PATH)).bearer_auth(token);
    Answer::of(post.json(&body)).await
}

fn token(demo: &Demo, scope: &str) -> String {
    let issued = demo
        .provider
        .issue("alice@example.test", DEMO_CLIENT_ID, scope);
    issued.expect("alice exists").access_token
}

fn header<'a>(message: &'a Value, name: &str) -> Option<&'a str> {
    let headers = message["payload"]["headers"].as_array()?;
    let found = headers.iter().find(|header| header["name"] == name)?;
    found["value"].as_str()
}

#[tokio::test]
async fn a_message_arrives_with_everyone_and_only_the_senders_copy_shows_bcc() {
    let demo = Demo::start().await;

    let sent = send(
        &demo,
        "From: alice@example.test\r\nTo: Bob <bob@example.test>\r\nBcc: carol@example.test\r\n\
         Message-ID: <mine@x>\r\nSubject: Hi\r\n\r\nHello",
        None,
    )
    .await;

    assert_eq!(sent.status, 200, "{}", sent.text);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| {
        let mailbox = demo.provider.mailbox(&format!("{name}@example.test"));
        assert_eq!(mailbox.len(), 1, "{name}");
        mailbox[0].clone()
    });
    assert_eq!(alice["id"], sent.json()["id"]);
    assert_eq!(alice["labelIds"], json!(["SENT"]));
    assert_eq!(header(&alice, "Bcc"), Some("carol@example.test"));
    for copy in [&bob, &carol] {
        assert_eq!(copy["labelIds"], json!(["INBOX", "UNREAD"]));
        assert_eq!(header(copy, "Bcc"), None);
    }
    assert_ne!(header(&bob, "Message-ID"), Some("<mine@x>"));
    assert_eq!(
        header(&bob, "X-Google-Original-Message-ID"),
        Some("<mine@x>")
    );
    assert_eq!(header(&bob, "Message-ID"), header(&alice, "Message-ID"));
}

#[tokio::test]
async fn the_sender_is_the_account_whatever_from_says() {
    let demo = Demo::start().await;

    send(
        &demo,
        "From: boss@example.test\r\nTo: alice@example.test\r\n\r\nHi",
        None,
    )
    .await;

    let mailbox = demo.provider.mailbox("alice@example.test");
    assert_eq!(
        header(&mailbox[0], "From"),
        Some("Alice Moreau <alice@example.test>")
    );
    assert_eq!(mailbox[0]["labelIds"], json!(["SENT", "INBOX", "UNREAD"]));
}

#[tokio::test]
async fn a_reply_joins_its_thread_on_both_sides_under_the_same_subject() {
    let demo = Demo::start().await;
    let first = send(
        &demo,
        "To: bob@example.test\r\nSubject: Plan\r\n\r\n1",
        None,
    )
    .await
    .json();
    let thread = first["threadId"].as_str().expect("a thread");
    let id = header(
        &demo.provider.mailbox("alice@example.test")[0],
        "Message-ID",
    )
    .expect("an id")
    .to_owned();
    let reply = format!("In-Reply-To: {id}\r\nReferences: {id}\r\nTo: bob@example.test\r\n");

    let same = send(
        &demo,
        &format!("{reply}Subject: Re: Plan\r\n\r\n2"),
        Some(thread),
    )
    .await;
    let other = send(
        &demo,
        &format!("{reply}Subject: Lunch\r\n\r\n3"),
        Some(thread),
    )
    .await;

    assert_eq!(same.json()["threadId"], thread);
    assert_ne!(other.json()["threadId"], thread);
    let bob = demo.provider.mailbox("bob@example.test");
    assert_eq!(bob[0]["threadId"], bob[1]["threadId"]);
    let shown = demo
        .get_as(
            &token(&demo, READ),
            &format!("/gmail/v1/users/me/threads/{thread}"),
        )
        .await
        .json();
    assert_eq!(shown["messages"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        send(&demo, "To: bob@example.test\r\n\r\n", Some("18"))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_400_with_the_reason() {
    let demo = Demo::start().await;

    for (raw, reason) in [
        ("Subject: Hi\r\n\r\nHello", "Recipient address required"),
        ("To: bob\r\n\r\nHello", "Invalid To header"),
        ("Cc: @example.test\r\n\r\nHello", "Invalid Cc header"),
    ] {
        let refused = send(&demo, raw, None).await;
        assert_eq!(refused.status, 400, "{raw}");
        assert_eq!(refused.json()["error"]["message"], reason);
    }
    assert!(demo.provider.mailbox("alice@example.test").is_empty());

    let reader = token(&demo, READ);
    let post = demo.http.post(demo.url(SEND_PATH)).bearer_auth(reader);
    let refused = Answer::of(post.json(&json!({"raw": ""}))).await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn an_upload_is_sent_as_it_is() {
    let demo = Demo::start().await;
    let upload = format!("/upload{SEND_PATH}?uploadType=");
    let message = "To: bob@example.test\r\nSubject: Big\r\n\r\nHello";
    let post = async |kind: &str, content_type: &str, body: String| {
        let post = demo.http.post(demo.url(&format!("{upload}{kind}")));
        let post = post.bearer_auth(token(&demo, SEND));
        Answer::of(post.header("Content-Type", content_type).body(body)).await
    };
    let multipart = format!(
        "--b1\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--b1\r\n\
         Content-Type: message/rfc822\r\n\r\n{message}\r\n--b1--\r\n"
    );

    let media = post("media", "message/rfc822", message.to_owned()).await;
    let related = post("multipart", "multipart/related; boundary=b1", multipart).await;
    let broken = post(
        "multipart",
        "multipart/related; boundary=b1",
        "--b1--".to_owned(),
    )
    .await;

    assert_eq!(
        (media.status, related.status, broken.status),
        (200, 200, 400)
    );
    let bob = demo.provider.mailbox("bob@example.test");
    assert_eq!(bob.len(), 2);
    assert!(bob.iter().all(|copy| copy["snippet"] == "Hello"));
}

#[tokio::test]
async fn parts_and_attachments_are_shown_in_full() {
    let demo = Demo::start().await;

    send(
        &demo,
        "To: bob@example.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n\
         --x\r\nContent-Type: text/plain\r\n\r\nHello\r\n--x\r\nContent-Type: text/csv\r\n\
         Content-Disposition: attachment; filename=\"a.csv\"\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         YSxi\r\n--x--\r\n",
        None,
    )
    .await;

    let bob = demo.provider.mailbox("bob@example.test");
    let parts = &bob[0]["payload"]["parts"];
    assert_eq!(parts[0]["mimeType"], "text/plain");
    assert_eq!(
        (&parts[1]["partId"], &parts[1]["filename"]),
        (&json!("1"), &json!("a.csv"))
    );
    assert_eq!(parts[1]["body"], json!({"size": 3, "data": "YSxi"}));
}
