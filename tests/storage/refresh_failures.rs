//! A refresh that fails does not end a connection, and is not tried again at once.

use grantkeep_demo_provider::Knobs;
use grantkeep_tests::{TestApi, database};

use crate::support::{access_token, events, refusal};

/// Connected, with this many seconds left of its token, at a provider that fails so.
async fn failing(seconds: i64, fault: impl FnOnce(&mut Knobs)) -> (TestApi, String) {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let token = access_token(&api.token("gmail").await);
    api.set_expiry("gmail", seconds).await;
    api.provider.update(fault);
    (api, token)
}

/// Lets the wait after a failure be over.
async fn wait_is_over(api: &TestApi) {
    let sql = "update oauth_tokens set retry_at = now() where retry_at is not null";
    database::execute(&api.database_url, sql).await;
}

async fn status(api: &TestApi) -> Option<String> {
    api.text("select status from oauth_tokens").await
}

/// The token has ended: refused with a time to come back, not dead, nobody asks again
/// before that time, and then all is well.
async fn refuses_and_recovers(fault: impl FnOnce(&mut Knobs), attempts: usize) {
    let (api, before) = failing(-1, fault).await;

    let refused = api.token("gmail").await;
    let at_once = api.token("gmail").await;

    for reply in [&refused, &at_once] {
        assert_eq!(refusal(reply), (503, "provider_unavailable".to_owned()));
        let wait = reply.header("retry-after").parse::<u64>();
        assert!(wait.is_ok_and(|seconds| seconds >= 1), "{}", reply.text);
    }
    assert_eq!(api.provider.refresh_requests(), attempts);
    assert_eq!(status(&api).await.as_deref(), Some("active"));
    let failures = "select refresh_failures::text from oauth_tokens";
    assert_eq!(api.text(failures).await.as_deref(), Some("1"));

    api.provider.set(Knobs::default());
    wait_is_over(&api).await;
    let recovered = api.token("gmail").await;

    assert_ne!(access_token(&recovered), before);
    assert_eq!(api.text(failures).await.as_deref(), Some("0"));
    let since = "select refresh_failing_since::text from oauth_tokens";
    assert_eq!(api.text(since).await, None);
}

/// The token still works: it is handed out, the failure is counted.
async fn serves_the_old_token(fault: impl FnOnce(&mut Knobs), attempts: usize) {
    let (api, before) = failing(120, fault).await;

    let first = api.token("gmail").await;
    let second = api.token("gmail").await;

    assert_eq!(access_token(&first), before);
    assert_eq!(access_token(&second), before);
    assert_eq!(api.provider.refresh_requests(), attempts);
    assert_eq!(status(&api).await.as_deref(), Some("active"));
    let failures = "select refresh_failures::text from oauth_tokens";
    assert_eq!(api.text(failures).await.as_deref(), Some("1"));
}

fn reset(knobs: &mut Knobs) {
    knobs.drop_connection_after_processing = true;
}

fn garbage(knobs: &mut Knobs) {
    knobs.garbage_body = true;
}

fn internal(knobs: &mut Knobs) {
    knobs.token_status = Some(500);
}

fn slow_down(knobs: &mut Knobs) {
    knobs.token_status = Some(429);
    knobs.retry_after = Some("120".to_owned());
}

fn timeout(knobs: &mut Knobs) {
    knobs.delay_ms = 30_000;
}

#[tokio::test]
async fn rf07_a_broken_connection_refuses_and_recovers() {
    refuses_and_recovers(reset, 2).await;
}

#[tokio::test]
async fn rf07_garbage_refuses_and_recovers() {
    refuses_and_recovers(garbage, 2).await;
}

#[tokio::test]
async fn rf07_a_status_500_refuses_and_recovers() {
    refuses_and_recovers(internal, 2).await;
}

#[tokio::test]
async fn rf07_a_status_429_refuses_and_recovers() {
    refuses_and_recovers(slow_down, 1).await;
}

#[tokio::test]
async fn rf07_silence_refuses_and_recovers() {
    refuses_and_recovers(timeout, 2).await;
}

#[tokio::test]
async fn rf07_a_token_that_still_works_is_served_whatever_the_provider_does() {
    tokio::join!(
        serves_the_old_token(reset, 2),
        serves_the_old_token(garbage, 2),
        serves_the_old_token(internal, 2),
        serves_the_old_token(slow_down, 1),
    );
}

#[tokio::test]
async fn rf07_retry_after_is_honoured() {
    let (api, _) = failing(-1, slow_down).await;

    let reply = api.token("gmail").await;

    let wait: i64 = reply.header("retry-after").parse().expect("seconds");
    assert!((118..=122).contains(&wait), "{wait}");
    let waits = "select (extract(epoch from retry_at - now()) between 100 and 121)::text
                   from oauth_tokens";
    assert_eq!(api.text(waits).await.as_deref(), Some("true"));
}

#[tokio::test]
async fn rf07_retry_after_may_be_a_date() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.set_expiry("gmail", -1).await;
    let date = "select to_char(now() at time zone 'utc' + interval '5 minutes',
                               'Dy, DD Mon YYYY HH24:MI:SS \"GMT\"')";
    let date = api.text(date).await;
    api.provider.update(|knobs| {
        knobs.token_status = Some(503);
        knobs.retry_after = date;
    });

    let reply = api.token("gmail").await;

    let wait: i64 = reply.header("retry-after").parse().expect("seconds");
    assert!((290..=300).contains(&wait), "{wait}");
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn rf07_one_passing_fault_is_not_noticed_at_all() {
    let (api, before) = failing(-1, |knobs| {
        knobs.token_status = Some(503);
        knobs.fail_next_n = Some(1);
    })
    .await;

    assert_ne!(access_token(&api.token("gmail").await), before);
    assert_eq!(api.provider.refresh_requests(), 2);
}

#[tokio::test]
async fn rf07_failures_in_a_row_wait_longer_and_are_told_once() {
    let (api, _) = failing(-1, internal).await;
    let mut waits = Vec::new();

    for _ in 0..7 {
        wait_is_over(&api).await;
        let reply = api.token("gmail").await;
        assert_eq!(refusal(&reply).0, 503);
        waits.push(reply.header("retry-after").parse::<u64>().expect("seconds"));
    }

    assert!(waits[0] <= 2 && waits[6] >= 48, "{waits:?}");
    assert_eq!(events(&api, "connection.refresh_failing").await, 1);
    assert_eq!(status(&api).await.as_deref(), Some("active"));
}

#[tokio::test]
async fn rf08_refused_client_credentials_are_the_operators_matter_and_end_no_connection() {
    for (error, answered) in [("invalid_client", Some(401)), ("unauthorized_client", None)] {
        let (api, before) = failing(-1, |knobs| {
            knobs.token_error = Some(error.to_owned());
            knobs.token_status = answered;
        })
        .await;

        let reply = api.token("gmail").await;

        assert_eq!(refusal(&reply), (500, "misconfigured".to_owned()));
        assert_eq!(reply.json()["provider_error"], error);
        assert_eq!(status(&api).await.as_deref(), Some("active"));
        assert_eq!(events(&api, "connection.reauthorization_required").await, 0);

        api.provider.set(Knobs::default());
        wait_is_over(&api).await;
        assert_ne!(access_token(&api.token("gmail").await), before);
    }
}

#[tokio::test]
async fn rf08_a_token_that_still_works_is_served_while_the_client_secret_is_wrong() {
    let (api, before) = failing(120, |knobs| {
        knobs.token_error = Some("invalid_client".to_owned());
        knobs.token_status = Some(401);
    })
    .await;

    assert_eq!(access_token(&api.token("gmail").await), before);
}
