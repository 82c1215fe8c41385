//! An idempotency key sends one message: repeated, at once, through several instances, and after
//! an instance that was lost in the middle.

use std::time::Duration;

use grantkeep_core::App;
use grantkeep_demo_provider::ApiFault;
use grantkeep_functions::routes::FUNCTIONS;
use grantkeep_functions::service;
use grantkeep_tests::api::{self, KEY};
use grantkeep_tests::http::client;
use grantkeep_tests::{Consent, TestApi, database};
use serde_json::{Value, json};

use crate::support::*;

fn keyed(key: &str) -> Value {
    message(json!({"idempotency_key": key}))
}

/// As if the claim's minute were over.
async fn lease_ends(api: &TestApi) {
    let sql = "update sent_messages set lease_until = now() - interval '1 second'";
    database::execute(&api.database_url, sql).await;
}

#[tokio::test]
async fn the_same_call_again_gets_the_same_answer_and_sends_nothing() {
    let api = connected().await;

    let first = send(&api, &keyed("offer-1")).await;
    let header = api
        .request("POST", "/api/gmail/send")
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .header("idempotency-key", "offer-1")
        .body(message(json!({})).to_string());
    let by_header = grantkeep_tests::http::send(header).await;
    let other = send(&api, &keyed("offer-2")).await;

    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(first.text, by_header.text);
    assert_ne!(first.json()["id"], other.json()["id"]);
    assert_eq!(sendings(&api), 2);
    assert!(header_of_first(&api).is_some_and(|marker| marker.len() == 32));
}

fn header_of_first(api: &TestApi) -> Option<String> {
    header(&bobs(api)[0], "X-Grantkeep-Id").map(str::to_owned)
}

#[tokio::test]
async fn a_key_belongs_to_one_message() {
    let api = connected().await;
    send(&api, &keyed("k")).await;

    for over in [
        json!({"text": "It is refused."}),
        json!({"to": ["carol@example.test"]}),
        json!({"subject": "Your offers"}),
        json!({"attachments": [{"filename": "a", "content_base64": "YQ=="}]}),
    ] {
        let mut other = message(over);
        other["idempotency_key"] = "k".into();
        let reply = send(&api, &other).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (422, "invalid_request")
        );
    }
    let twice = api
        .request("POST", "/api/gmail/send")
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .header("idempotency-key", "another")
        .body(keyed("k").to_string());
    let reply = grantkeep_tests::http::send(twice).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (400, "invalid_request")
    );
    assert_eq!(sendings(&api), 1);
}

#[tokio::test]
async fn keys_of_two_connections_do_not_meet() {
    let api = connected().await;
    let session = api::session("default", "other");
    let path = format!("/api/oauth/gmail/authorize?session={session}&scope={SEND}&return_to=/done");
    api.visitor().connect(&path, &Consent::default()).await;

    let one = send(&api, &keyed("k")).await;
    let mut by_other = keyed("k");
    by_other["actor"] = "other".into();
    let other = send(&api, &by_other).await;

    assert_eq!((one.status, other.status), (200, 200), "{}", other.text);
    assert_eq!(bobs(&api).len(), 2);
}

#[tokio::test]
async fn callers_at_once_through_several_instances_send_one_message() {
    let api = connected().await;
    api.provider.update(|knobs| knobs.api_delay_ms = 300);
    let mut origins = vec![api.origin.clone()];
    for _ in 0..2 {
        origins.push(instance(api::app(&api.variables)).await);
    }

    let calls = (0..12).map(|n| {
        let url = format!("{}/api/gmail/send", origins[n % origins.len()]);
        let request = client()
            .post(url)
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .body(keyed("once").to_string());
        tokio::spawn(grantkeep_tests::http::send(request))
    });
    let mut answers = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await.expect("an answer");
        assert_eq!(reply.status, 200, "{}", reply.text);
        answers.push(reply.text);
    }

    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!((sendings(&api), bobs(&api).len()), (1, 1));
}

/// Another instance over the same database.
async fn instance(app: App) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let router = service::all(&FUNCTIONS, app);
    tokio::spawn(async move { axum::serve(listener, router).await });
    origin
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_is_found_in_the_mailbox() {
    let api = connected().await;
    api.provider.update(|knobs| {
        knobs.api_fault = Some(ApiFault::LostAnswer);
        knobs.api_fail_next_n = Some(1);
    });
    let lost = send(&api, &keyed("k")).await;
    assert_eq!(lost.json()["outcome"], "unknown", "{}", lost.text);
    // Others were sent meanwhile.
    send(&api, &message(json!({}))).await;
    send(&api, &keyed("another")).await;
    lease_ends(&api).await;

    let found = send(&api, &keyed("k")).await;
    let again = send(&api, &keyed("k")).await;

    assert_eq!(found.status, 200, "{}", found.text);
    assert_eq!(found.json()["id"], api.provider.mailbox(ALICE)[0]["id"]);
    assert_eq!(found.text, again.text);
    assert_eq!((sendings(&api), bobs(&api).len()), (3, 3));
}

#[tokio::test]
async fn a_message_that_is_not_in_the_mailbox_is_sent() {
    let api = connected().await;
    api.provider.update(|knobs| {
        knobs.api_fault = Some(ApiFault::InternalError);
        knobs.api_fail_next_n = Some(1);
    });
    send(&api, &keyed("k")).await;
    lease_ends(&api).await;

    let reply = send(&api, &keyed("k")).await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!((sendings(&api), bobs(&api).len()), (2, 1));
}

#[tokio::test]
async fn without_the_right_to_look_it_is_sent_at_most_once() {
    let api = TestApi::start().await;
    let consent = Consent {
        untick: vec![READONLY.to_owned()],
        ..Consent::default()
    };
    connect(&api, &consent).await;
    api.provider.update(|knobs| {
        knobs.api_fault = Some(ApiFault::LostAnswer);
        knobs.api_fail_next_n = Some(1);
    });
    send(&api, &keyed("k")).await;
    lease_ends(&api).await;

    let reply = send(&api, &keyed("k")).await;

    assert_eq!(
        (reply.status, reply.code().as_str()),
        (502, "provider_error")
    );
    assert_eq!(reply.json()["outcome"], "unknown");
    assert_eq!(sendings(&api), 1);
    assert_eq!(send(&api, &keyed("k2")).await.status, 200);
}

#[tokio::test]
async fn while_a_claim_lasts_nobody_else_sends_and_the_caller_is_told_to_wait() {
    let api = connected().await;
    api.provider.update(|knobs| {
        knobs.api_fault = Some(ApiFault::LostAnswer);
        knobs.api_fail_next_n = Some(1);
    });
    send(&api, &keyed("k")).await;

    let began = std::time::Instant::now();
    let reply = send(&api, &keyed("k")).await;

    assert_eq!(
        (reply.status, reply.code().as_str()),
        (503, "provider_unavailable")
    );
    assert!(!reply.header("retry-after").is_empty());
    assert!(began.elapsed() > Duration::from_secs(5), "it waited");
    assert_eq!(sendings(&api), 1);
}
