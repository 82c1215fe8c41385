//! What is refused before anything is sent.

use grantkeep_tests::api::{ACME_KEY, READ_KEY};
use grantkeep_tests::http::send as send_request;
use grantkeep_tests::{Consent, TestApi};
use serde_json::{Value, json};

use crate::support::*;

/// The field that a 400 names.
async fn refused_field(api: &TestApi, over: Value) -> String {
    let reply = send(api, &message(over.clone())).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (400, "invalid_request"),
        "{over}: {}",
        reply.text
    );
    reply.json()["errors"][0]["field"]
        .as_str()
        .expect("a field")
        .to_owned()
}

#[tokio::test]
async fn hi01_no_value_can_begin_a_header_field_of_its_own() {
    let api = connected().await;

    for evil in [
        "a\r\nBcc: carol@example.test",
        "a\nBcc: carol@example.test",
        "a\rb",
        "a\0b",
        "a\u{85}b",
        "a\u{1b}[2J",
    ] {
        for (field, over) in [
            ("subject", json!({"subject": evil})),
            ("from_name", json!({"from_name": evil})),
            (
                "to[0]",
                json!({"to": [format!("{evil} <bob@example.test>")]}),
            ),
            (
                "to[1]",
                json!({"to": [BOB, format!("bob@example.test{evil}")]}),
            ),
            (
                "cc",
                json!({"cc": format!("\"{evil}\" <bob@example.test>")}),
            ),
            ("bcc[0]", json!({"bcc": [evil]})),
            ("reply_to", json!({"reply_to": evil})),
            ("in_reply_to", json!({"in_reply_to": format!("<{evil}>")})),
            (
                "references[0]",
                json!({"references": [format!("<{evil}>")]}),
            ),
            ("thread_id", json!({"thread_id": evil})),
            ("idempotency_key", json!({"idempotency_key": evil})),
            (
                "attachments[0].filename",
                json!({"attachments": [{"filename": evil, "content_base64": ""}]}),
            ),
            (
                "attachments[0].content_type",
                json!({"attachments": [{"filename": "a", "content_type": evil, "content_base64": ""}]}),
            ),
        ] {
            assert_eq!(refused_field(&api, over).await, field, "{evil:?}");
        }
    }
    assert_eq!(sendings(&api), 0);
}

#[tokio::test]
async fn fields_that_cannot_be_sent_are_named() {
    let api = connected().await;
    let file = |over: Value| {
        let mut file = json!({"filename": "a.txt", "content_base64": "YQ=="});
        file.as_object_mut()
            .expect("an object")
            .extend(over.as_object().cloned().expect("members"));
        json!({"attachments": [file]})
    };

    for (field, over) in [
        ("to", json!({"to": []})),
        ("to", json!({"to": vec![BOB; 501]})),
        ("to[0]", json!({"to": ["bob"]})),
        ("to[0]", json!({"to": ["a@example.test, b@example.test"]})),
        ("subject", json!({"subject": "x".repeat(999)})),
        ("text", json!({"text": null})),
        ("thread_id", json!({"thread_id": "../../me"})),
        ("in_reply_to", json!({"in_reply_to": "<a b>"})),
        ("idempotency_key", json!({"idempotency_key": ""})),
        ("attachments[0].filename", file(json!({"filename": ""}))),
        (
            "attachments[0].content_type",
            file(json!({"content_type": "text"})),
        ),
        (
            "attachments[0].content_type",
            file(json!({"content_type": "message/rfc822"})),
        ),
        (
            "attachments[0].content_base64",
            file(json!({"content_base64": "*"})),
        ),
        ("provider", json!({"provider": "outlook"})),
        ("bc", json!({"bc": [BOB]})),
    ] {
        assert_eq!(refused_field(&api, over).await, field);
    }
    assert_eq!(sendings(&api), 0);
}

#[tokio::test]
async fn what_the_mail_api_refuses_is_said_in_its_words() {
    let api = connected().await;

    let reply = send(&api, &message(json!({"thread_id": "1940000000000099"}))).await;

    assert_eq!(
        (reply.status, reply.code().as_str()),
        (400, "invalid_request")
    );
    assert_eq!(reply.json()["errors"][0]["field"], "thread_id");
}

#[tokio::test]
async fn without_the_scope_nothing_is_sent_and_the_link_asks_for_it() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    let reply = send(&api, &message(json!({}))).await;

    assert_eq!(
        (reply.status, reply.code().as_str()),
        (403, "insufficient_scope")
    );
    assert_eq!(reply.json()["missing_scopes"], json!([SEND]));
    let url = reply.json()["connect_url"]
        .as_str()
        .expect("a link")
        .to_owned();
    assert!(url.contains("gmail.send"), "{url}");
    assert_eq!(sendings(&api), 0);

    connect(&api, &Consent::default()).await;
    assert_eq!(send(&api, &message(json!({}))).await.status, 200);
}

#[tokio::test]
async fn a_key_needs_the_permission_and_the_workspace() {
    let api = connected().await;
    let post = async |key: &str, over: Value| {
        let request = api
            .request("POST", "/api/gmail/send")
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .body(message(over).to_string());
        let reply = send_request(request).await;
        (reply.status, reply.code())
    };

    assert_eq!(
        post(READ_KEY, json!({})).await,
        (403, "forbidden".to_owned())
    );
    assert_eq!(
        post(ACME_KEY, json!({"workspace": "acme"})).await,
        (403, "forbidden".to_owned())
    );
    assert_eq!(
        post("gk_wrong", json!({})).await,
        (401, "unauthorized".to_owned())
    );
    assert_eq!(sendings(&api), 0);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let api = connected().await;

    let reply = send(&api, &message(json!({"text": "x".repeat(6 * 1024 * 1024)}))).await;

    assert_eq!(
        (reply.status, reply.code().as_str()),
        (413, "invalid_request")
    );
    assert!(reply.text.contains("6 MiB"), "{}", reply.text);
}
