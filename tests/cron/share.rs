//! Many runs at once, runs that are ended, and runs that run out of time.

use std::time::{Duration, Instant};

use grantkeep_core::refresh_ahead;
use grantkeep_demo_provider::RefreshTokens;
use grantkeep_tests::TestApi;
use grantkeep_tests::api::{CRON_SECRET, app};
use grantkeep_tests::bulk::{self, DUE};
use grantkeep_tests::http::{client, send};
use grantkeep_tests::instance::Process;
use serde_json::json;

use crate::support::{REFRESH, count, execute, run};

/// A provider whose refresh tokens work once.
async fn single_use() -> TestApi {
    let api = TestApi::builder()
        .provider("gmail", json!({"refresh_tokens": "single_use"}))
        .start()
        .await;
    api.provider
        .update(|knobs| knobs.refresh_tokens = RefreshTokens::SingleUse);
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn four_runs_at_once_share_the_work_and_each_refresh_token_is_asked_once() {
    let api = single_use().await;
    bulk::connections(&api.app, &api.provider, DUE, 300).await;
    api.provider.update(|knobs| knobs.delay_ms = 20);

    let runs: Vec<_> = (0..4)
        .map(|_| {
            let app = app(&api.variables);
            tokio::spawn(async move {
                let until = tokio::time::Instant::now() + Duration::from_secs(20);
                refresh_ahead::run(&app, until).await.expect("a run")
            })
        })
        .collect();
    let mut shares = Vec::new();
    for run in runs {
        shares.push(run.await.expect("no panic").refreshed);
    }

    assert_eq!(shares.iter().sum::<u64>(), 300, "{shares:?}");
    assert!(shares.iter().all(|share| *share >= 30), "{shares:?}");
    assert_eq!(api.provider.refresh_requests(), 300);
    let well = "oauth_tokens where status = 'active' and version = 2 and lease_id is null";
    assert_eq!(count(&api, well).await, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_and_reads_of_the_same_connections_do_not_get_in_each_others_way() {
    let api = single_use().await;
    let ids = bulk::connections(&api.app, &api.provider, DUE, 60).await;
    api.provider.update(|knobs| knobs.delay_ms = 30);
    execute(
        &api,
        "update oauth_tokens set expires_at = now() - interval '1 minute'",
    )
    .await;

    let mut reading = tokio::task::JoinSet::new();
    for path in ids
        .iter()
        .map(|id| format!("/api/token?provider=gmail&actor={id}"))
    {
        let request = api
            .request("GET", &path)
            .bearer_auth(grantkeep_tests::api::KEY);
        reading.spawn(async move { send(request).await.status });
    }
    run(&api).await;

    while let Some(status) = reading.join_next().await {
        assert_eq!(status.expect("an answer"), 200);
    }
    assert_eq!(api.provider.refresh_requests(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_begins_nothing_after_its_time_and_the_next_one_goes_on() {
    let api = single_use().await;
    bulk::connections(&api.app, &api.provider, DUE, 200).await;
    api.provider.update(|knobs| knobs.delay_ms = 200);
    let app = app(&api.variables);

    let began = Instant::now();
    let until = tokio::time::Instant::now() + Duration::from_millis(700);
    let first = refresh_ahead::run(&app, until).await.expect("a run");

    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert!(
        first.more && first.refreshed >= 16 && first.refreshed < 200,
        "{first:?}"
    );
    api.provider.update(|knobs| knobs.delay_ms = 0);
    let second = run(&api).await;
    assert_eq!(second["refreshed"], 200 - first.refreshed);
    assert_eq!(
        (&second["more"], &second["failed"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(api.provider.refresh_requests(), 200);
}

/// A killed run leaves leases, which run out. Where the provider had answered, its answer is
/// lost with the process: with refresh tokens that stay valid, nothing else is.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_leaves_nothing_behind_that_the_next_one_does_not_finish() {
    let api = TestApi::start().await;
    bulk::connections(&api.app, &api.provider, DUE, 120).await;
    api.provider.update(|knobs| knobs.delay_ms = 50);
    let process = Process::start("cron", &api.variables).await;
    let request = client()
        .get(format!("{}{REFRESH}", process.origin))
        .bearer_auth(CRON_SECRET);
    let running = tokio::spawn(request.send());
    let begun = Instant::now();
    while count(&api, "oauth_tokens where last_refreshed_at is not null").await < 20 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does nothing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    process.kill();
    drop(running.await);

    let leased = count(&api, "oauth_tokens where lease_until > now()").await;
    assert!((1..=16).contains(&leased), "{leased} leases");
    // What is leased is nobody's for some seconds; the rest goes on at once.
    let next = run(&api).await["refreshed"].as_u64().expect("a count");
    let waiting = count(&api, "oauth_tokens where last_refreshed_at is null").await;
    assert_eq!(waiting, leased, "{next} were refreshed");
    execute(
        &api,
        "update oauth_tokens set lease_until = now() where lease_until is not null",
    )
    .await;
    assert_eq!(run(&api).await["refreshed"], leased);
    let well = "oauth_tokens where status = 'active' and version = 2 and lease_id is null";
    assert_eq!(count(&api, well).await, 120);
}
