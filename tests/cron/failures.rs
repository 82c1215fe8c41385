//! Providers that are down, have enough, refuse our client, or end grants.

use std::time::{Duration, Instant};

use grantkeep_demo_provider::Knobs;
use grantkeep_tests::TestApi;
use grantkeep_tests::bulk::{self, DUE, Seed};
use serde_json::json;

use crate::support::{count, execute, run};

const OUTLOOK: Seed<'static> = Seed {
    provider: "outlook",
    ..DUE
};

async fn events(api: &TestApi, kind: &str) -> u64 {
    count(api, &format!("connection_events where type = '{kind}'")).await
}

/// Lets the waits after failures be over.
async fn wait_is_over(api: &TestApi) {
    execute(
        api,
        "update oauth_tokens set retry_at = now() - interval '1 second' where retry_at is not null",
    )
    .await;
}

#[tokio::test]
async fn rf07_what_failed_is_tried_again_by_a_later_run_and_not_by_the_same() {
    let api = TestApi::start().await;
    bulk::connections(&api.app, &api.provider, DUE, 5).await;
    api.provider
        .update(|knobs| knobs.token_error = Some("invalid_scope".to_owned()));
    let failed = run(&api).await;
    assert_eq!(
        (&failed["failed"], &failed["refreshed"]),
        (&json!(5), &json!(0))
    );
    assert_eq!(api.provider.refresh_requests(), 5);

    api.provider.set(Knobs::default());
    assert_eq!(run(&api).await["refreshed"], 0, "each waits first");
    wait_is_over(&api).await;
    assert_eq!(run(&api).await["refreshed"], 5);
    assert_eq!(
        count(
            &api,
            "oauth_tokens where refresh_failures > 0 or refresh_failing_since is not null"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn a_provider_that_asks_to_wait_is_left_in_peace_for_the_rest_of_the_run() {
    let api = TestApi::start().await;
    bulk::connections(&api.app, &api.provider, DUE, 100).await;
    api.provider.update(|knobs| {
        knobs.token_status = Some(429);
        knobs.retry_after = Some("600".to_owned());
    });

    let began = Instant::now();
    let done = run(&api).await;

    let asked = api.provider.refresh_requests();
    assert!((1..=16).contains(&asked), "{asked} requests");
    assert_eq!(done["failed"], asked);
    assert_eq!(
        (&done["more"], &done["refreshed"]),
        (&json!(true), &json!(0))
    );
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let waiting = "oauth_tokens where retry_at > now() + interval '590 seconds'";
    assert_eq!(count(&api, waiting).await as usize, asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_asks_to_wait_for_a_second_gets_it_and_then_the_rest() {
    let api = TestApi::start().await;
    bulk::connections(&api.app, &api.provider, DUE, 60).await;
    api.provider.update(|knobs| {
        knobs.token_status = Some(429);
        knobs.retry_after = Some("1".to_owned());
        knobs.fail_next_n = Some(3);
    });

    let began = Instant::now();
    let done = run(&api).await;

    assert_eq!(
        (&done["failed"], &done["refreshed"]),
        (&json!(3), &json!(57))
    );
    assert_eq!(done["more"], false);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_given_up_and_does_not_hold_up_the_others() {
    let api = TestApi::builder()
        .provider(
            "outlook",
            json!({"token_endpoint": "http://127.0.0.1:9/token"}),
        )
        .start()
        .await;
    bulk::connections(&api.app, &api.provider, OUTLOOK, 200).await;
    bulk::connections(&api.app, &api.provider, DUE, 50).await;

    let began = Instant::now();
    let done = run(&api).await;

    assert_eq!(done["refreshed"], 50);
    let failed = done["failed"].as_u64().expect("a count");
    assert!((5..=60).contains(&failed), "{failed} of 200 were tried");
    assert_eq!(done["more"], true);
    assert!(
        began.elapsed() < Duration::from_secs(33),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        count(&api, "oauth_tokens where status <> 'active'").await,
        0
    );
}

#[tokio::test]
async fn rf08_a_refused_client_is_one_alert_and_ends_no_connection() {
    let api = TestApi::start().await;
    bulk::connections(&api.app, &api.provider, DUE, 60).await;
    api.provider
        .update(|knobs| knobs.token_error = Some("invalid_client".to_owned()));
    for _ in 0..7 {
        run(&api).await;
        wait_is_over(&api).await;
    }

    let asked = api.provider.refresh_requests();
    assert!(asked <= 7 * 16, "{asked} requests");
    assert_eq!(events(&api, "provider.client_refused").await, 1);
    assert_eq!(events(&api, "connection.refresh_failing").await, 0);
    assert_eq!(
        count(&api, "oauth_tokens where status <> 'active'").await,
        0
    );
    let told = "select provider || ' ' || (data->>'reason') from connection_events";
    assert_eq!(
        api.text(told).await.as_deref(),
        Some("gmail invalid_client")
    );

    api.provider.set(Knobs::default());
    assert_eq!(run(&api).await["refreshed"], 60);
    assert_eq!(events(&api, "provider.client_accepted").await, 1);
    execute(
        &api,
        "update oauth_tokens set expires_at = now(), last_refreshed_at = now() - interval '1 hour'",
    )
    .await;
    run(&api).await;
    assert_eq!(events(&api, "provider.client_accepted").await, 1);
    // Refused anew is an alert anew.
    api.provider
        .update(|knobs| knobs.token_error = Some("unauthorized_client".to_owned()));
    execute(
        &api,
        "update oauth_tokens set expires_at = now(), last_refreshed_at = now() - interval '1 hour'",
    )
    .await;
    run(&api).await;
    assert_eq!(events(&api, "provider.client_refused").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf08_reads_and_runs_that_meet_with_a_refusal_at_once_write_one_alert() {
    let api = TestApi::start().await;
    let ids = bulk::connections(&api.app, &api.provider, DUE, 40).await;
    execute(
        &api,
        "update oauth_tokens set expires_at = now() - interval '1 minute'",
    )
    .await;
    api.provider.update(|knobs| {
        knobs.token_error = Some("invalid_client".to_owned());
        knobs.delay_ms = 100;
    });

    let paths: Vec<String> = ids
        .iter()
        .map(|id| format!("/api/token?provider=gmail&actor={id}"))
        .collect();
    let mut reading = tokio::task::JoinSet::new();
    for path in paths {
        let request = api
            .request("GET", &path)
            .bearer_auth(grantkeep_tests::api::KEY);
        reading.spawn(grantkeep_tests::http::send(request));
    }
    run(&api).await;
    while let Some(reply) = reading.join_next().await {
        assert!(reply.expect("an answer").status >= 500);
    }

    assert_eq!(events(&api, "provider.client_refused").await, 1);
}

#[tokio::test]
async fn dg01_a_dead_grant_is_one_event_and_nobody_asks_again() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let id = api.text("select id::text from oauth_tokens").await;
    execute(
        &api,
        "update oauth_tokens set expires_at = now(), status_since = now() - interval '1 hour'",
    )
    .await;
    api.provider.kill_grants();

    assert_eq!(run(&api).await["reauthorization_required"], 1);
    let asked = api.provider.token_requests();
    for _ in 0..3 {
        assert_eq!(run(&api).await["reauthorization_required"], 0);
        let read = api.token("gmail").await;
        assert_eq!(
            (read.status, read.code().as_str()),
            (409, "reauthorization_required")
        );
    }
    assert_eq!(api.provider.token_requests(), asked);
    assert_eq!(events(&api, "connection.reauthorization_required").await, 1);

    api.connect("gmail").await;
    assert_eq!(api.token("gmail").await.status, 200);
    assert_eq!(events(&api, "connection.recovered").await, 1);
    assert_eq!(api.text("select id::text from oauth_tokens").await, id);
}

#[tokio::test]
async fn a_token_set_that_does_not_open_is_counted_and_holds_up_nothing() {
    let api = TestApi::start().await;
    bulk::connections(&api.app, &api.provider, DUE, 1).await;
    execute(
        &api,
        "update oauth_tokens set token_data = '\\x00', expires_at = now() - interval '1 day'",
    )
    .await;
    bulk::connections(&api.app, &api.provider, DUE, 3).await;

    let done = run(&api).await;

    assert_eq!(
        (&done["refreshed"], &done["failed"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(events(&api, "connection.integrity_error").await, 1);
    let error = "select refresh_error from oauth_tokens where refresh_error is not null";
    assert_eq!(api.text(error).await.as_deref(), Some("unreadable"));
}

#[tokio::test]
async fn dg01_health_tells_since_when_a_refresh_fails_and_when_the_jobs_last_ended() {
    let api = TestApi::start().await;
    let before = api.get("/api/health").await.json();
    assert_eq!(
        (&before["oldest_failing_refresh"], &before["cron"]),
        (&json!(null), &json!({}))
    );
    bulk::connections(&api.app, &api.provider, DUE, 2).await;
    api.provider.update(|knobs| knobs.token_status = Some(500));
    run(&api).await;

    let after = api.get("/api/health").await.json();

    for at in [&after["oldest_failing_refresh"], &after["cron"]["refresh"]] {
        let at = at
            .as_str()
            .and_then(|at| chrono::DateTime::parse_from_rfc3339(at).ok());
        let age = chrono::Utc::now() - at.expect("an instant").to_utc();
        assert!((-5..60).contains(&age.num_seconds()), "{after}");
    }
    assert_eq!(after["connections"]["active"], 2);
}
