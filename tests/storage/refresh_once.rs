//! One refresh, whatever many processes read at once, and whoever dies meanwhile.

use std::time::{Duration, Instant};

use grantkeep_demo_provider::RefreshTokens;
use grantkeep_demo_provider::client::{DEMO_CLIENT_ID, DEMO_CLIENT_SECRET};
use grantkeep_tests::instance::{Process, get, post};
use grantkeep_tests::{Reply, TestApi};
use serde_json::json;

use crate::support::{GMAIL, access_token, connect_as, events, refresh_token, refusal, until};

/// A provider whose refresh tokens work once, known to be so.
async fn single_use() -> TestApi {
    let api = TestApi::builder()
        .provider("gmail", json!({"refresh_tokens": "single_use"}))
        .start()
        .await;
    api.provider
        .update(|knobs| knobs.refresh_tokens = RefreshTokens::SingleUse);
    api
}

/// `each` reads of the default connection in every process, all at once.
async fn read_at_once(processes: &[Process], each: usize) -> Vec<Reply> {
    let mut reading = Vec::new();
    for process in processes {
        for _ in 0..each {
            let origin = process.origin.clone();
            reading.push(tokio::spawn(async move { get(&origin, GMAIL).await }));
        }
    }
    let mut replies = Vec::new();
    for one in reading {
        replies.push(one.await.expect("an answer"));
    }
    replies
}

/// The one token that all of them got.
#[track_caller]
fn one_token(replies: &[Reply]) -> String {
    let mut tokens: Vec<String> = replies.iter().map(access_token).collect();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "{} different tokens", tokens.len());
    tokens.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn rf01_two_hundred_reads_in_four_processes_cause_one_refresh() {
    let api = single_use().await;
    api.connect("gmail").await;
    let before = access_token(&api.token("gmail").await);
    let processes = Process::start_many(4, "token", &api.variables).await;
    api.provider.update(|knobs| knobs.delay_ms = 500);
    api.set_expiry("gmail", -1).await;

    let replies = read_at_once(&processes, 50).await;

    assert_eq!(replies.len(), 200);
    let first = one_token(&replies);
    assert_ne!(first, before);
    assert_eq!(api.provider.refresh_requests(), 1);
    assert!(
        replies
            .iter()
            .all(|reply| reply.json()["persisted"] == true)
    );

    // The grant is alive: a single-use refresh token used twice would have ended it.
    api.set_expiry("gmail", -1).await;
    let second = one_token(&read_at_once(&processes, 5).await);
    assert_ne!(second, first);
    assert_eq!(api.provider.refresh_requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf01_reads_of_other_connections_stay_fast_while_a_provider_is_slow() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    connect_as(&api, "gmail", "default", "other").await;
    let processes = Process::start_many(2, "token", &api.variables).await;
    api.provider.update(|knobs| knobs.delay_ms = 2000);
    let expire = "update oauth_tokens set expires_at = now() where actor_id = 'default'";
    grantkeep_tests::database::execute(&api.database_url, expire).await;

    // In the process that refreshes or waits, with its few database connections.
    let busy = processes[0].origin.clone();
    let waiting = tokio::spawn(async move {
        let replies = read_at_once(&processes, 25).await;
        (processes, replies)
    });
    until(async || api.provider.refresh_requests() == 1).await;
    let mut took = Vec::new();
    while !waiting.is_finished() {
        let started = Instant::now();
        let reply = get(&busy, &format!("{GMAIL}&actor=other")).await;
        took.push(started.elapsed());
        access_token(&reply);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (_alive_until_here, replies) = waiting.await.expect("waiters");

    one_token(&replies);
    took.sort();
    assert!(took.len() > 5, "{} reads meanwhile", took.len());
    let typical = took[took.len() * 9 / 10];
    let slowest = took[took.len() - 1];
    assert!(typical < Duration::from_millis(250), "p90 {typical:?}");
    assert!(slowest < Duration::from_millis(1500), "slowest {slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rf13_callers_in_many_processes_whose_token_was_rejected_share_one_refresh() {
    let api = single_use().await;
    api.connect("gmail").await;
    let rejected = access_token(&api.token("gmail").await);
    let processes = Process::start_many(3, "token", &api.variables).await;
    api.provider.update(|knobs| knobs.delay_ms = 500);

    let body = json!({"provider": "gmail", "rejected": rejected});
    let mut reporting = Vec::new();
    for number in 0..60 {
        let (origin, body) = (processes[number % 3].origin.clone(), body.clone());
        reporting.push(tokio::spawn(async move {
            post(&origin, "/api/token", &body).await
        }));
    }
    let mut replies = Vec::new();
    for one in reporting {
        replies.push(one.await.expect("an answer"));
    }

    assert_ne!(one_token(&replies), rejected);
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf02_a_killed_holder_costs_one_lease_and_nobody_fails() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let before = access_token(&api.token("gmail").await);
    let holder = Process::start("token", &api.variables).await;
    let others = Process::start_many(3, "token", &api.variables).await;
    api.provider.update(|knobs| knobs.delay_ms = 3000);
    api.set_expiry("gmail", -1).await;

    let origin = holder.origin.clone();
    let lost = tokio::spawn(async move {
        let request = grantkeep_tests::http::client()
            .get(format!("{origin}{GMAIL}"))
            .header(
                "authorization",
                format!("Bearer {}", grantkeep_tests::api::KEY),
            );
        request.send().await.is_err()
    });
    until(async || api.provider.refresh_requests() == 1).await;
    holder.kill();
    assert!(lost.await.expect("a request"), "the holder has answered");
    api.provider.update(|knobs| knobs.delay_ms = 0);
    let started = Instant::now();
    let replies = read_at_once(&others, 50).await;

    assert_ne!(one_token(&replies), before);
    assert_eq!(api.provider.refresh_requests(), 2);
    let waited = started.elapsed();
    assert!(
        waited > Duration::from_secs(12) && waited < Duration::from_secs(26),
        "the lease outlives the provider's time-out and ends: {waited:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rf02_a_single_use_answer_that_died_with_its_holder_needs_the_user_and_says_why() {
    let api = single_use().await;
    api.connect("gmail").await;
    let refresh_token = refresh_token(&api, "gmail").await;
    let holder = Process::start("token", &api.variables).await;
    api.provider.update(|knobs| knobs.delay_ms = 3000);
    api.set_expiry("gmail", -1).await;

    let origin = holder.origin.clone();
    let lost = tokio::spawn(async move {
        let request = grantkeep_tests::http::client()
            .get(format!("{origin}{GMAIL}"))
            .header(
                "authorization",
                format!("Bearer {}", grantkeep_tests::api::KEY),
            );
        drop(request.send().await);
    });
    until(async || api.provider.refresh_requests() == 1).await;
    holder.kill();
    lost.await.expect("a request");
    api.provider.update(|knobs| knobs.delay_ms = 0);
    // The provider carries out what the dead one asked for.
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("refresh_token", &refresh_token)
        .append_pair("client_id", DEMO_CLIENT_ID)
        .append_pair("client_secret", DEMO_CLIENT_SECRET)
        .finish();
    let carried_out = grantkeep_tests::http::client()
        .post(format!("{}/token", api.provider.origin()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    assert_eq!(grantkeep_tests::http::send(carried_out).await.status, 200);
    let lease = "update oauth_tokens set lease_until = now() where lease_until is not null";
    grantkeep_tests::database::execute(&api.database_url, lease).await;
    let reply = api.token("gmail").await;
    let again = api.token("gmail").await;

    assert_eq!(
        refusal(&reply),
        (409, "reauthorization_required".to_owned())
    );
    assert_eq!(reply.json()["reason"], "rotation_response_lost");
    assert_eq!(
        refusal(&again),
        (409, "reauthorization_required".to_owned())
    );
    assert_eq!(events(&api, "connection.reauthorization_required").await, 1);
    assert_eq!(api.provider.refresh_requests(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf05_whoever_reconnects_during_a_refresh_wins() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let process = Process::start("token", &api.variables).await;
    api.provider.update(|knobs| knobs.delay_ms = 1500);
    api.set_expiry("gmail", -1).await;

    let origin = process.origin.clone();
    let refreshing = tokio::spawn(async move { get(&origin, GMAIL).await });
    until(async || api.provider.refresh_requests() == 1).await;
    api.provider.update(|knobs| knobs.delay_ms = 0);
    api.connect("gmail").await;
    let reconnected = access_token(&api.token("gmail").await);
    let late = refreshing.await.expect("an answer");

    assert_eq!(access_token(&late), reconnected);
    assert_eq!(access_token(&api.token("gmail").await), reconnected);
    assert_eq!(
        api.text("select version::text from oauth_tokens").await,
        Some("2".to_owned())
    );
    assert_eq!(
        api.text("select last_refreshed_at::text from oauth_tokens")
            .await,
        None
    );
}

/// As Lambda does between two invocations, or in the middle of one.
#[tokio::test(flavor = "multi_thread")]
async fn rf05_a_holder_frozen_past_its_lease_gives_way_to_whoever_took_over() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let frozen = Process::start("token", &api.variables).await;
    api.provider.update(|knobs| knobs.delay_ms = 1500);
    api.set_expiry("gmail", -1).await;

    let origin = frozen.origin.clone();
    let late = tokio::spawn(async move { get(&origin, GMAIL).await });
    until(async || api.provider.refresh_requests() == 1).await;
    frozen.freeze().await;
    api.provider.update(|knobs| knobs.delay_ms = 0);
    let lease = "update oauth_tokens set lease_until = now()";
    grantkeep_tests::database::execute(&api.database_url, lease).await;
    let winner = access_token(&api.token("gmail").await);
    frozen.thaw().await;

    let late = late.await.expect("an answer");
    assert_eq!(access_token(&late), winner);
    assert_eq!(late.json()["persisted"], true);
    assert_eq!(access_token(&api.token("gmail").await), winner);
    assert_eq!(api.provider.refresh_requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf05_what_a_holder_got_is_saved_even_when_its_lease_is_over() {
    let api = single_use().await;
    api.connect("gmail").await;
    let frozen = Process::start("token", &api.variables).await;
    api.provider.update(|knobs| knobs.delay_ms = 1500);
    api.set_expiry("gmail", -1).await;

    let origin = frozen.origin.clone();
    let late = tokio::spawn(async move { get(&origin, GMAIL).await });
    until(async || api.provider.refresh_requests() == 1).await;
    frozen.freeze().await;
    let lease = "update oauth_tokens set lease_until = now()";
    grantkeep_tests::database::execute(&api.database_url, lease).await;
    frozen.thaw().await;

    let late = late.await.expect("an answer");
    assert_eq!(late.json()["persisted"], true, "{}", late.text);
    assert_eq!(access_token(&api.token("gmail").await), access_token(&late));
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf06_invalid_grant_answers_the_winners_token_when_somebody_has_won_meanwhile() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let process = Process::start("token", &api.variables).await;
    api.provider.update(|knobs| {
        knobs.delay_ms = 1500;
        knobs.token_error = Some("invalid_grant".to_owned());
        knobs.fail_next_n = Some(1);
    });
    api.set_expiry("gmail", -1).await;

    let origin = process.origin.clone();
    let refused = tokio::spawn(async move { get(&origin, GMAIL).await });
    until(async || api.provider.refresh_requests() == 1).await;
    api.provider.update(|knobs| knobs.delay_ms = 0);
    api.connect("gmail").await;
    let winner = access_token(&api.token("gmail").await);

    assert_eq!(access_token(&refused.await.expect("an answer")), winner);
    assert_eq!(
        api.text("select status from oauth_tokens").await.as_deref(),
        Some("active")
    );
    assert_eq!(events(&api, "connection.reauthorization_required").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf06_invalid_grant_with_nobody_else_there_ends_the_connection_once() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let processes = Process::start_many(2, "token", &api.variables).await;
    api.provider.kill_grants();
    api.set_expiry("gmail", -1).await;

    let replies = read_at_once(&processes, 10).await;

    for reply in &replies {
        assert_eq!(refusal(reply), (409, "reauthorization_required".to_owned()));
        assert_eq!(reply.json()["reason"], "invalid_grant");
        assert!(reply.json()["connect_url"].is_string());
    }
    assert_eq!(api.provider.refresh_requests(), 1);
    assert_eq!(events(&api, "connection.reauthorization_required").await, 1);
}
