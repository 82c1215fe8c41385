//! What the endpoint answers decides what happens next.

use std::time::Duration;

use grantkeep_core::webhooks::Deliveries;
use grantkeep_tests::TestApi;
use grantkeep_tests::api::READ_KEY;
use grantkeep_tests::instance::Served;

use crate::receiver::{Answer, Receiver, SECRET, deliver, event, wait_is_over, with_webhook};

async fn one_event(receiver: &Receiver) -> TestApi {
    let api = with_webhook(&receiver.url, SECRET).start().await;
    event(&api, "connection.recovered", "1 minute").await;
    api
}

/// The only event's column, as text.
async fn column(api: &TestApi, column: &str) -> Option<String> {
    api.text(&format!("select ({column})::text from connection_events"))
        .await
}

#[tokio::test]
async fn wh01_a_failure_is_tried_again_later_with_the_same_id() {
    let receiver = Receiver::start().await;
    let api = one_event(&receiver).await;
    receiver.answer([
        Answer::Status(500),
        Answer::Status(302),
        Answer::Status(204),
    ]);

    let first = deliver(&api).await;
    let at_once = deliver(&api).await;
    wait_is_over(&api).await;
    let second = deliver(&api).await;
    wait_is_over(&api).await;
    let third = deliver(&api).await;

    assert_eq!((first.failed, second.failed), (1, 1));
    assert_eq!(at_once, Deliveries::default());
    assert_eq!(third.delivered, 1);
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    assert!(
        received
            .iter()
            .all(|one| one.header("webhook-id") == received[0].header("webhook-id"))
    );
    assert_eq!(
        column(&api, "delivery_attempts").await.as_deref(),
        Some("3")
    );
    assert_eq!(
        column(&api, "delivered_at is not null").await.as_deref(),
        Some("true")
    );
    assert_eq!(column(&api, "delivery_error").await, None);
}

#[tokio::test]
async fn wh01_retry_after_is_honoured() {
    let receiver = Receiver::start().await;
    let api = one_event(&receiver).await;
    receiver.answer([Answer::With(429, "retry-after", "3600".to_owned())]);

    deliver(&api).await;

    let wait = column(&api, "extract(epoch from deliver_at - now())").await;
    let wait: f64 = wait.and_then(|text| text.parse().ok()).expect("seconds");
    assert!((3500.0..=3600.0).contains(&wait), "{wait}");
}

#[tokio::test]
async fn wh01_after_three_days_an_event_is_given_up_and_counted() {
    let receiver = Receiver::start().await;
    let api = with_webhook(&receiver.url, SECRET).start().await;
    event(
        &api,
        "connection.recovered",
        "71 hours 59 minutes 58 seconds",
    )
    .await;
    receiver.answer([Answer::Status(500)]);

    let done = deliver(&api).await;
    wait_is_over(&api).await;
    let after = deliver(&api).await;

    assert_eq!((done.given_up, done.failed), (1, 0));
    assert_eq!(
        (after, receiver.received().len()),
        (Deliveries::default(), 1)
    );
    let health = api.get("/api/health").await.json();
    assert_eq!(health["webhook"]["given_up"], 1);
}

#[tokio::test]
async fn wh01_gone_disables_the_endpoint_until_it_is_another() {
    let receiver = Receiver::start().await;
    let api = one_event(&receiver).await;
    receiver.answer([Answer::Status(410)]);

    let done = deliver(&api).await;
    wait_is_over(&api).await;
    let after = deliver(&api).await;

    assert!(done.disabled && after.disabled);
    assert_eq!(receiver.received().len(), 1);
    let health = api.get("/api/health").await.json();
    assert!(health["webhook"]["disabled_since"].is_string(), "{health}");
    assert_eq!(health["webhook"]["waiting"], 1);

    let other = with_webhook(&format!("{}&again", receiver.url), SECRET)
        .variable("DATABASE_URL", &api.database_url)
        .start()
        .await;
    assert_eq!(deliver(&other).await.delivered, 1);
}

#[tokio::test]
async fn wh02_no_redirect_is_followed() {
    let receiver = Receiver::start().await;
    let elsewhere = Receiver::start().await;
    let api = one_event(&receiver).await;
    receiver.answer([Answer::With(307, "location", elsewhere.url.clone())]);

    let done = deliver(&api).await;

    assert_eq!(done.failed, 1);
    assert!(elsewhere.received().is_empty());
    assert_eq!(
        column(&api, "delivery_error").await.as_deref(),
        Some("status 307")
    );
}

#[tokio::test]
async fn wh02_a_long_body_is_left_unread_and_the_event_counts_as_delivered() {
    let receiver = Receiver::start().await;
    let api = one_event(&receiver).await;
    receiver.answer([Answer::Long(3_000_000)]);

    assert_eq!(deliver(&api).await.delivered, 1);
}

#[tokio::test]
async fn an_endpoint_that_is_down_ends_the_run_and_loses_nothing() {
    let gone = Served::start(axum::Router::new()).await.origin.clone();
    let api = with_webhook(&format!("{gone}/in"), SECRET).start().await;
    for _ in 0..40 {
        event(&api, "connection.recovered", "1 minute").await;
    }

    let done = deliver(&api).await;

    assert_eq!((done.delivered, done.failed), (0, 16));
    let waiting = "select count(*)::text from connection_events where delivered_at is null";
    assert_eq!(api.text(waiting).await.as_deref(), Some("40"));
}

#[tokio::test]
async fn a_slow_endpoint_costs_a_request_two_seconds_once() {
    let receiver = Receiver::start().await;
    let api = with_webhook(&receiver.url, SECRET).start().await;
    receiver.answer([
        Answer::After(Duration::from_secs(30)),
        Answer::After(Duration::from_secs(30)),
    ]);

    let began = std::time::Instant::now();
    api.connect("gmail").await;
    let first = began.elapsed();
    api.connect("outlook").await;
    let second = began.elapsed() - first;

    assert!((1.5..4.0).contains(&first.as_secs_f64()), "{first:?}");
    assert!(second.as_secs_f64() < 1.5, "{second:?}");
}

#[tokio::test]
async fn what_waits_is_shown_only_to_keys_that_reach_every_workspace() {
    let receiver = Receiver::start().await;
    let api = one_event(&receiver).await;

    let all = api.get("/api/health").await.json();
    let one = api.get_as(READ_KEY, "/api/health").await.json();

    assert_eq!(all["webhook"]["waiting"], 1);
    assert!(all["webhook"]["oldest_waiting"].is_string(), "{all}");
    assert_eq!(one["webhook"]["configured"], true);
    assert!(one["webhook"].get("waiting").is_none(), "{one}");
    let nobody = grantkeep_tests::http::send(api.request("GET", "/api/health")).await;
    assert!(nobody.json().get("webhook").is_none());
}
