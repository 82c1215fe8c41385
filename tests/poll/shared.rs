//! Many invocations at once share the work, and one that is killed loses nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use grantkeep_core::gmail::poll;
use grantkeep_tests::api::CRON_SECRET;
use grantkeep_tests::http::{client, send};
use grantkeep_tests::instance::Process;
use grantkeep_tests::{TestApi, database};
use tokio::time::Instant;

use crate::support::{ANN, POLL, calls, deliver, execute, poll, poll_again, stored, user, watched};

/// Mailboxes with one message each.
async fn mailboxes(api: &TestApi, count: u32) {
    for number in 0..count {
        watched(api, &user(number)).await;
        deliver(api, &user(number), ANN, &format!("{number:03}"));
    }
}

async fn run(process: &Process) -> serde_json::Value {
    let request = client()
        .get(format!("{}{POLL}", process.origin))
        .header("authorization", format!("Bearer {CRON_SECRET}"));
    let reply = send(request).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()
}

#[tokio::test]
async fn four_invocations_at_once_poll_each_mailbox_once() {
    let api = TestApi::start().await;
    mailboxes(&api, 200).await;
    api.provider.update(|knobs| knobs.api_delay_ms = 20);
    let processes = Process::start_many(4, "cron", &api.variables).await;

    let (a, b, c, d) = tokio::join!(
        run(&processes[0]),
        run(&processes[1]),
        run(&processes[2]),
        run(&processes[3])
    );

    let polled = |done: &serde_json::Value| done["mailboxes"].as_u64().expect("a count");
    let each = [&a, &b, &c, &d].map(polled);
    assert_eq!(each.iter().sum::<u64>(), 200);
    assert!(each.iter().all(|count| *count > 0), "{each:?}");
    assert_eq!(calls(&api, "getProfile"), 200);
    assert_eq!(calls(&api, "messages.get"), 200);
    assert_eq!(stored(&api).await, 200);
}

#[tokio::test]
async fn wk03_a_mailbox_has_one_poller() {
    let api = TestApi::start().await;
    mailboxes(&api, 1).await;
    api.provider.update(|knobs| knobs.api_delay_ms = 100);

    let (first, second) = tokio::join!(poll(&api), poll(&api));

    let polled = [&first, &second].map(|done| done["mailboxes"].as_u64().expect("a count"));
    assert_eq!(polled.iter().sum::<u64>(), 1);
    assert_eq!(calls(&api, "getProfile"), 1);
}

#[tokio::test]
async fn a_killed_invocation_costs_its_leases_and_no_message() {
    let api = TestApi::start().await;
    mailboxes(&api, 120).await;
    api.provider.update(|knobs| knobs.api_delay_ms = 30);
    let variables: BTreeMap<String, String> = api.variables.clone();

    for asked in [60, 150, 260] {
        let process = Process::start("cron", &variables).await;
        let origin = process.origin.clone();
        let request = tokio::spawn(
            client()
                .get(format!("{origin}{POLL}"))
                .header("authorization", format!("Bearer {CRON_SECRET}"))
                .send(),
        );
        let started = Instant::now();
        while api.provider.requests().len() < asked {
            assert!(started.elapsed() < Duration::from_secs(20), "no requests");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        process.kill();
        assert!(request.await.expect("joined").is_err(), "it was answered");
        let leased = "select count(*) from gmail_mailboxes where lease_until > now()";
        let rows = database::query(&api.database_url, leased, &[]).await;
        assert!(rows[0].get::<_, i64>(0) > 0, "nothing was under way");
        // Nobody else takes what it held, until its leases end.
        execute(
            &api,
            "update gmail_mailboxes set lease_until = now(), poll_at = now()
              where lease_id is not null",
        )
        .await;
    }
    poll(&api).await;

    assert_eq!(stored(&api).await, 120);
    assert_eq!(poll_again(&api).await["messages"], 0);
}

#[tokio::test]
async fn the_time_that_an_invocation_has_is_kept() {
    let api = TestApi::start().await;
    mailboxes(&api, 150).await;
    api.provider.update(|knobs| knobs.api_delay_ms = 100);
    let started = Instant::now();

    let until = started + Duration::from_millis(150);
    let polled = poll::run(&api.app, until, None).await.expect("polled");

    assert!(polled.more);
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    // What it had begun is given back, not left to its lease.
    api.provider.update(|knobs| knobs.api_delay_ms = 0);
    poll(&api).await;
    assert_eq!(stored(&api).await, 150);
}
