//! What the endpoint gets, and what it never gets.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantkeep_core::store::connection_events::{self, Filter};
use grantkeep_demo_provider::Knobs;
use grantkeep_tests::api::CRON_SECRET;
use grantkeep_tests::{TestApi, database};
use serde_json::json;

use crate::receiver::{Receiver, SECRET, deliver, event, with_webhook};

#[tokio::test]
async fn wh01_an_event_arrives_signed_with_its_own_id_and_time() {
    let receiver = Receiver::start().await;
    let api = with_webhook(&receiver.url, SECRET).start().await;

    api.connect("gmail").await;

    let received = receiver.received();
    assert_eq!(receiver.kinds(), ["connection.connected"]);
    let one = &received[0];
    assert_eq!(one.signed_by(SECRET), Some(0));
    assert_eq!(one.header("content-type"), "application/json");
    let id = api.text("select id::text from connection_events").await;
    assert_eq!(Some(one.header("webhook-id")), id.as_deref());
    let sent: i64 = one.header("webhook-timestamp").parse().expect("seconds");
    assert!((chrono::Utc::now().timestamp() - sent).abs() < 60);
}

#[tokio::test]
async fn wh02_the_body_says_whose_connection_and_holds_neither_account_nor_token() {
    let receiver = Receiver::start().await;
    let api = with_webhook(&receiver.url, SECRET).start().await;

    api.connect("gmail").await;
    let token = api.token("gmail").await.json();

    let body = receiver.received()[0].json();
    let data = &body["data"];
    assert_eq!(data["connection_id"], token["connection_id"]);
    assert_eq!(data["provider"], "gmail");
    assert_eq!(
        (&data["workspace"], &data["actor"]),
        (&json!("default"), &json!("default"))
    );
    assert!(data["scopes"].is_array());
    let at = body["timestamp"].as_str().expect("a time");
    assert!(chrono::DateTime::parse_from_rfc3339(at).is_ok(), "{at}");
    let text = body.to_string();
    for secret in [&token["account"], &token["access_token"]] {
        assert!(!text.contains(secret.as_str().expect("text")), "{text}");
    }
}

#[tokio::test]
async fn wh01_during_a_rotation_both_secrets_sign() {
    let receiver = Receiver::start().await;
    let newer = format!("whsec_{}", STANDARD.encode([9; 32]));
    let api = with_webhook(&receiver.url, &format!("{newer} {SECRET}"))
        .start()
        .await;

    api.connect("gmail").await;

    let received = &receiver.received()[0];
    assert_eq!(received.signed_by(&newer), Some(0));
    assert_eq!(received.signed_by(SECRET), Some(1));
}

#[tokio::test]
async fn events_are_delivered_once_and_the_oldest_first() {
    let receiver = Receiver::start().await;
    let api = with_webhook(&receiver.url, SECRET).start().await;
    // More than are sent at once.
    for minutes in 0..20 {
        event(
            &api,
            &format!("test.n{minutes}"),
            &format!("{minutes} minutes"),
        )
        .await;
    }

    let done = deliver(&api).await;
    let again = deliver(&api).await;

    assert_eq!((done.delivered, again.delivered), (20, 0));
    let kinds = receiver.kinds();
    let first: BTreeSet<&str> = kinds[..16].iter().map(String::as_str).collect();
    assert!(
        (4..20).all(|n| first.contains(format!("test.n{n}").as_str())),
        "{kinds:?}"
    );
    assert_eq!(kinds.len(), 20);
}

#[tokio::test]
async fn of_two_senders_at_once_each_event_is_sent_by_one() {
    let receiver = Receiver::start().await;
    let api = with_webhook(&receiver.url, SECRET).start().await;
    for n in 0..60 {
        event(&api, &format!("test.n{n}"), "1 minute").await;
    }

    let (one, two) = tokio::join!(deliver(&api), deliver(&api));

    assert_eq!(one.delivered + two.delivered, 60);
    let ids: BTreeSet<String> = receiver
        .received()
        .iter()
        .map(|received| received.header("webhook-id").to_owned())
        .collect();
    assert_eq!((ids.len(), receiver.received().len()), (60, 60));
}

#[tokio::test]
async fn what_is_older_than_three_days_and_what_strangers_cause_is_not_sent() {
    let receiver = Receiver::start().await;
    let api = with_webhook(&receiver.url, SECRET).start().await;
    event(&api, "connection.connected", "73 hours").await;
    event(&api, "callback.refused", "1 minute").await;
    event(&api, "connection.recovered", "71 hours").await;

    let done = deliver(&api).await;

    assert_eq!(done.delivered, 1);
    assert_eq!(receiver.kinds(), ["connection.recovered"]);
}

#[tokio::test]
async fn dg02_the_request_that_finds_a_dead_grant_sends_the_alert_before_it_answers() {
    let receiver = Receiver::start().await;
    let api = with_webhook(&receiver.url, SECRET).start().await;
    api.connect("gmail").await;
    api.set_expiry("gmail", -1).await;
    api.provider
        .update(|knobs: &mut Knobs| knobs.token_error = Some("invalid_grant".into()));

    let reply = api.token("gmail").await;
    let told = receiver.kinds();
    let again = api.token("gmail").await;

    assert_eq!((reply.status, again.status), (409, 409));
    assert_eq!(
        told,
        [
            "connection.connected",
            "connection.reauthorization_required"
        ]
    );
    assert_eq!(receiver.received().len(), 2);
    let body = receiver.received()[1].json();
    assert_eq!(body["data"]["reason"], "invalid_grant");
}

#[tokio::test]
async fn dg03_the_schedule_delivers_what_waits_and_counts_it() {
    let receiver = Receiver::start().await;
    let api = with_webhook(&receiver.url, SECRET).start().await;
    event(&api, "connection.reauthorization_required", "1 hour").await;

    let done = api.get_as(CRON_SECRET, "/api/cron/refresh").await;

    let counts = json!({"delivered": 1, "failed": 0, "given_up": 0, "disabled": false});
    assert_eq!(done.json()["webhooks"], counts, "{}", done.text);
    assert_eq!(receiver.kinds(), ["connection.reauthorization_required"]);
}

#[tokio::test]
async fn events_can_be_listed_page_by_page_and_by_type() {
    let api = TestApi::start().await;
    for n in 0..5 {
        event(&api, "connection.connected", &format!("{n} minutes")).await;
        event(&api, "connection.renewed", &format!("{n} minutes")).await;
    }
    let filter = Filter {
        kind: Some("connection.renewed".to_owned()),
        since: Some(chrono::Utc::now() - chrono::TimeDelta::seconds(200)),
        ..Filter::default()
    };

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = connection_events::list(&api.app.store, &filter, after, 3).await;
        let page = page.expect("a page");
        let Some(last) = page.last() else { break };
        after = Some((last.created_at, last.id));
        seen.extend(page.into_iter().map(|event| (event.created_at, event.kind)));
    }

    assert_eq!(seen.len(), 4);
    assert!(seen.is_sorted());
    assert!(seen.iter().all(|(_, kind)| kind == "connection.renewed"));
}

#[tokio::test]
async fn without_a_webhook_events_are_stored_and_nothing_is_sent() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    let done = deliver(&api).await;

    assert_eq!(done, Default::default());
    let rows = database::query(
        &api.database_url,
        "select 1 from connection_events where delivered_at is null and delivery_attempts = 0",
        &[],
    );
    assert_eq!(rows.await.len(), 1);
}
