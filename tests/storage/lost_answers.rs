//! A database connection that breaks after the server did what it was asked: a failover,
//! a pooler's restart, a frozen instance. Callers notice nothing.

use std::time::{Duration, Instant};

use grantkeep_demo_provider::RefreshTokens;
use grantkeep_tests::api::session;
use grantkeep_tests::wire::Wire;
use grantkeep_tests::{TestApi, database};
use serde_json::json;

use crate::support::{access_token, until};

async fn behind_a_wire() -> (TestApi, Wire) {
    let direct = database::create().await;
    let wire = Wire::before(&direct).await;
    let mut api = TestApi::builder()
        .variable("DATABASE_URL", &wire.url)
        .provider("gmail", json!({"refresh_tokens": "single_use"}))
        .start()
        .await;
    api.provider
        .update(|knobs| knobs.refresh_tokens = RefreshTokens::SingleUse);
    api.database_url = direct;
    api.connect("gmail").await;
    (api, wire)
}

#[tokio::test]
async fn rf03_a_refresh_survives_the_loss_of_any_of_the_databases_answers() {
    // Reading, claiming, saving.
    for number in 1..=3 {
        let (api, wire) = behind_a_wire().await;
        let before = access_token(&api.token("gmail").await);
        api.set_expiry("gmail", -1).await;

        wire.lose_answer(number);
        let started = Instant::now();
        let reply = api.token("gmail").await;

        let took = started.elapsed();
        assert_ne!(access_token(&reply), before, "answer {number}");
        assert_eq!(reply.json()["persisted"], true, "answer {number}");
        assert!(took < Duration::from_secs(5), "answer {number}: {took:?}");
        assert_eq!(
            access_token(&api.token("gmail").await),
            access_token(&reply)
        );
        assert_eq!(api.provider.refresh_requests(), 1, "answer {number}");
        assert!(wire.round_trips() > 3, "answer {number}: nothing was lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rf03_a_database_that_falls_silent_delays_a_refreshed_token_by_one_time_out_at_most() {
    let (api, wire) = behind_a_wire().await;
    api.provider.update(|knobs| knobs.delay_ms = 300);
    api.set_expiry("gmail", -1).await;

    let started = Instant::now();
    let (reply, ()) = tokio::join!(api.token("gmail"), async {
        until(async || api.provider.refresh_requests() == 1).await;
        wire.silence(true);
    });
    let took = started.elapsed();
    wire.silence(false);

    let token = access_token(&reply);
    assert_eq!(reply.json()["persisted"], false);
    assert!(took < Duration::from_secs(8), "{took:?}");
    let later = api.token("gmail").await;
    assert_eq!(access_token(&later), token);
    assert_eq!(later.json()["persisted"], true);
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn rf13_a_refresh_on_demand_survives_the_loss_of_its_claims_answer() {
    let (api, wire) = behind_a_wire().await;
    let rejected = access_token(&api.token("gmail").await);

    wire.lose_answer(2);
    let body = json!({"provider": "gmail", "rejected": rejected});
    let reply = api.send_json("POST", "/api/token", &body).await;

    assert_ne!(access_token(&reply), rejected);
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn a_begun_authorization_survives_the_loss_of_the_databases_answers() {
    for number in 1..=2 {
        let (api, wire) = behind_a_wire().await;
        let session = session("default", "default");

        wire.lose_answer(number);
        let begun = api
            .visitor()
            .get(&format!("/api/oauth/gmail/authorize?session={session}"))
            .await;

        assert_eq!(begun.status, 302, "answer {number}: {}", begun.text);
        let count = "select count(*)::text from pending_authorizations";
        assert_eq!(api.text(count).await.as_deref(), Some("1"));
    }
}
