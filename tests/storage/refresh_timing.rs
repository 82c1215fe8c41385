//! When a token is refreshed: margins, unknown expiry, on demand, and clocks that differ.

use chrono::{DateTime, TimeDelta, Utc};
use grantkeep_core::App;
use grantkeep_core::settings::Settings;
use grantkeep_demo_provider::ExpiresIn;
use grantkeep_functions::routes::FUNCTIONS;
use grantkeep_functions::service;
use grantkeep_tests::instance::{Served, get};
use grantkeep_tests::{TestApi, database};
use serde_json::json;

use crate::support::{GMAIL, access_token, refusal};

#[tokio::test]
async fn rf09_a_token_is_refreshed_within_300_seconds_of_its_end_and_not_before() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let first = access_token(&api.token("gmail").await);

    api.set_expiry("gmail", 320).await;
    let before_margin = access_token(&api.token("gmail").await);
    api.set_expiry("gmail", 299).await;
    let within = api.token("gmail").await;

    assert_eq!(before_margin, first);
    assert_ne!(access_token(&within), first);
    assert!(within.json()["expires_in"].as_i64() > Some(3500));
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn rf09_a_token_that_lives_for_five_minutes_is_not_refreshed_on_every_read() {
    let api = TestApi::start().await;
    api.provider
        .update(|knobs| knobs.access_token_lifetime_s = 300);
    api.connect("gmail").await;

    for _ in 0..3 {
        access_token(&api.token("gmail").await);
    }
    assert_eq!(api.provider.refresh_requests(), 0);

    api.set_expiry("gmail", 145).await;
    access_token(&api.token("gmail").await);
    access_token(&api.token("gmail").await);
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn rf12_an_unknown_expiry_is_refreshed_on_demand_and_once_an_hour() {
    let api = TestApi::start().await;
    api.provider
        .update(|knobs| knobs.expires_in = ExpiresIn::Absent);
    api.connect("outlook").await;
    let reply = api.token("outlook").await;
    let first = access_token(&reply);
    assert_eq!(reply.json()["expires_at"], json!(null));
    assert_eq!(access_token(&api.token("outlook").await), first);
    assert_eq!(api.provider.refresh_requests(), 0);

    let rejected = json!({"provider": "outlook", "rejected": first});
    let second = access_token(&api.send_json("POST", "/api/token", &rejected).await);
    assert_ne!(second, first);
    assert_eq!(api.provider.refresh_requests(), 1);

    let age = "update oauth_tokens set last_refreshed_at = now() - interval '61 minutes'";
    database::execute(&api.database_url, age).await;
    let third = access_token(&api.token("outlook").await);
    assert_ne!(third, second);
    assert_eq!(access_token(&api.token("outlook").await), third);
    assert_eq!(api.provider.refresh_requests(), 2);
}

#[tokio::test]
async fn rf13_callers_whose_token_was_rejected_share_one_refresh_and_cannot_ask_for_more() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let first = access_token(&api.token("gmail").await);
    api.provider.update(|knobs| knobs.delay_ms = 300);
    let rejected = json!({"provider": "gmail", "rejected": first});

    let api = &api;
    let report = async || api.send_json("POST", "/api/token", &rejected).await;
    let (a, b, c, d, e) = tokio::join!(report(), report(), report(), report(), report());

    let second = access_token(&a);
    assert_ne!(second, first);
    for reply in [&b, &c, &d, &e] {
        assert_eq!(access_token(reply), second);
    }
    assert_eq!(api.provider.refresh_requests(), 1);

    // Who comes late with the old one is given the new one.
    assert_eq!(access_token(&report().await), second);
    // Nobody can make a connection refresh again and again.
    let rejected = json!({"provider": "gmail", "rejected": second});
    let limited = api.send_json("POST", "/api/token", &rejected).await;
    assert_eq!(refusal(&limited), (503, "provider_unavailable".to_owned()));
    assert_ne!(limited.header("retry-after"), "");
    assert_eq!(api.provider.refresh_requests(), 1);

    let later = "update oauth_tokens set forced_at = forced_at - interval '1 minute'";
    database::execute(&api.database_url, later).await;
    let third = api.send_json("POST", "/api/token", &rejected).await;
    assert_ne!(access_token(&third), second);
    assert_eq!(api.provider.refresh_requests(), 2);
}

#[allow(
    clippy::disallowed_methods,
    reason = "a clock that is wrong by a known amount"
)]
fn behind() -> DateTime<Utc> {
    Utc::now() - TimeDelta::minutes(10)
}

#[allow(
    clippy::disallowed_methods,
    reason = "a clock that is wrong by a known amount"
)]
fn ahead() -> DateTime<Utc> {
    Utc::now() + TimeDelta::minutes(10)
}

#[tokio::test]
async fn rf14_an_instance_whose_clock_is_ten_minutes_off_reads_and_refreshes_as_the_others() {
    for clock in [behind, ahead] {
        let api = TestApi::start().await;
        api.connect("gmail").await;
        let first = access_token(&api.token("gmail").await);
        let lookup = |name: &str| api.variables.get(name).cloned();
        let settings = Settings::read(&[], &lookup).unwrap_or_else(|error| panic!("{error}"));
        let app = App::with_clock(settings, clock).unwrap_or_else(|error| panic!("{error}"));
        let wrong = Served::start(service::all(&FUNCTIONS, app)).await;

        // Ends in 20 minutes: fresh for everybody.
        api.set_expiry("gmail", 1200).await;
        let fresh = get(&wrong.origin, GMAIL).await;
        assert_eq!(access_token(&fresh), first);
        let left = fresh.json()["expires_in"].as_i64().expect("seconds");
        assert!((1190..=1200).contains(&left), "{left}");

        // Ended five minutes ago: stale for everybody.
        api.set_expiry("gmail", -300).await;
        let refreshed = get(&wrong.origin, GMAIL).await;
        assert_ne!(access_token(&refreshed), first);
        assert_eq!(api.provider.refresh_requests(), 1);
        let stored = "select (extract(epoch from expires_at - now()) between 3580 and 3600)::text
                        from oauth_tokens";
        assert_eq!(api.text(stored).await.as_deref(), Some("true"));
        let right = api.token("gmail").await;
        assert_eq!(access_token(&right), access_token(&refreshed));
        for reply in [&right, &get(&wrong.origin, GMAIL).await] {
            let left = reply.json()["expires_in"].as_i64().expect("seconds");
            assert!((3580..=3600).contains(&left), "{left}");
        }
        assert_eq!(api.provider.refresh_requests(), 1);
    }
}

#[tokio::test]
async fn rf14_the_answer_of_a_refresh_tells_the_same_expiry_as_later_reads() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let lookup = |name: &str| api.variables.get(name).cloned();
    let settings = Settings::read(&[], &lookup).unwrap_or_else(|error| panic!("{error}"));
    let app = App::with_clock(settings, ahead).unwrap_or_else(|error| panic!("{error}"));
    let wrong = Served::start(service::all(&FUNCTIONS, app)).await;
    api.set_expiry("gmail", -1).await;

    let refreshed = get(&wrong.origin, GMAIL).await;
    let read = api.token("gmail").await;

    let at = |reply: &grantkeep_tests::Reply| -> DateTime<Utc> {
        let text = crate::support::text(&reply.json()["expires_at"]);
        text.parse().expect("RFC 3339")
    };
    let apart = (at(&refreshed) - at(&read)).abs();
    assert!(apart < TimeDelta::seconds(5), "{apart}");
}

#[tokio::test]
async fn rf15_scopes_are_sent_on_refresh_only_where_the_provider_wants_them() {
    let api = TestApi::start().await;
    for provider in ["gmail", "outlook"] {
        api.connect(provider).await;
        api.set_expiry(provider, -1).await;
        access_token(&api.token(provider).await);
    }

    let refreshes: Vec<Option<String>> = api
        .provider
        .requests()
        .into_iter()
        .filter(|request| request.grant_type.as_deref() == Some("refresh_token"))
        .map(|request| request.scope)
        .collect();
    assert_eq!(refreshes.len(), 2);
    assert_eq!(refreshes[0], None);
    let sent = refreshes[1].as_deref().unwrap_or_default();
    assert!(sent.split(' ').any(|scope| scope == "Mail.Read"), "{sent}");
}

#[tokio::test]
async fn ex09_a_token_ends_expires_in_seconds_after_it_was_asked_for() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.set_expiry("gmail", -1).await;
    api.provider.update(|knobs| knobs.delay_ms = 2500);
    let before = api.text("select now()::text").await.expect("the time");

    access_token(&api.token("gmail").await);

    let since = format!(
        "select extract(epoch from expires_at - '{before}'::timestamptz)::float8::text
           from oauth_tokens"
    );
    let life: f64 = api
        .text(&since)
        .await
        .expect("seconds")
        .parse()
        .expect("seconds");
    assert!((3598.0..3600.5).contains(&life), "{life}");
}
