//! After a change, on whatever instance, nothing older is served.

use std::time::{Duration, Instant};

use grantkeep_core::cache::Found;
use grantkeep_core::connection::Owner;
use grantkeep_core::tokens::{self, Wanted};
use grantkeep_demo_provider::Knobs;
use grantkeep_tests::instance::{get, post};
use grantkeep_tests::{Reply, TestApi, database};
use serde_json::json;

use crate::server::{Between, GMAIL, Redis, connected, instance, unblocked};

fn token(reply: &Reply) -> String {
    let text = reply.json()["access_token"].as_str().map(str::to_owned);
    text.unwrap_or_else(|| panic!("{}", reply.text))
}

/// Its token is in the cache.
async fn cached(api: &TestApi) -> String {
    unblocked(api).await;
    let first = token(&api.token("gmail").await);
    assert_eq!(token(&api.token("gmail").await), first);
    first
}

#[tokio::test]
async fn ca03_a_refresh_on_another_instance_counts_at_once() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    let (other, _) = instance(&api, None).await;
    let before = cached(&api).await;

    let body = json!({"provider": "gmail", "rejected": before});
    let refreshed = post(&other.origin, "/api/token", &body).await;

    let after = token(&refreshed);
    assert_ne!(after, before);
    assert_eq!(token(&api.token("gmail").await), after);
}

#[tokio::test]
async fn ca03_consent_again_counts_at_once() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    let (other, _) = instance(&api, None).await;
    let before = cached(&api).await;

    api.connect("gmail").await;

    assert_ne!(token(&get(&other.origin, GMAIL).await), before);
}

#[tokio::test]
async fn ca03_a_disconnected_connection_is_gone_at_once() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    let (other, _) = instance(&api, None).await;
    cached(&api).await;
    let id = api
        .text("select id::text from oauth_tokens")
        .await
        .expect("an id");

    assert_eq!(
        api.delete(&format!("/api/connections/{id}")).await.status,
        200
    );

    assert_eq!(get(&other.origin, GMAIL).await.code(), "not_connected");
}

#[tokio::test]
async fn ca03_a_death_and_fewer_scopes_count_at_once() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    let (other, _) = instance(&api, None).await;
    let before = cached(&api).await;
    let narrower = vec!["openid".to_owned()];
    api.provider
        .update(|knobs: &mut Knobs| knobs.narrower_scope_on_refresh = Some(narrower));
    let body = json!({"provider": "gmail", "rejected": before});
    let reply = post(&other.origin, "/api/token", &body).await;
    assert_eq!(reply.json()["scope"], "openid", "{}", reply.text);

    assert_eq!(api.token("gmail").await.json()["scope"], "openid");

    let now = cached(&api).await;
    api.provider
        .update(|knobs: &mut Knobs| knobs.token_error = Some("invalid_grant".into()));
    let sql = "update oauth_tokens set forced_at = null";
    database::execute(&api.database_url, sql).await;
    let body = json!({"provider": "gmail", "rejected": now});
    let dead = post(&other.origin, "/api/token", &body).await;
    assert_eq!(dead.code(), "reauthorization_required");

    assert_eq!(api.token("gmail").await.code(), "reauthorization_required");
}

/// Redis says that it took the block, and did not.
#[tokio::test]
async fn ca03_where_redis_loses_the_block_five_seconds_bound_it() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    let lossy = Between::before(&redis).await;
    lossy.lose_blocks();
    let (other, _) = instance(&api, Some(&lossy.url)).await;
    let before = cached(&api).await;
    let body = json!({"provider": "gmail", "rejected": before});
    let refreshed = post(&other.origin, "/api/token", &body).await;
    let changed = Instant::now();
    let after = token(&refreshed);
    assert_eq!(
        token(&api.token("gmail").await),
        before,
        "the block was not lost"
    );

    let mut stale_until = changed;
    while changed.elapsed() < Duration::from_millis(5600) {
        let asked = Instant::now();
        if token(&api.token("gmail").await) == before {
            stale_until = asked;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let stale = stale_until - changed;
    assert!(stale < Duration::from_millis(5050), "{stale:?}");
    assert_eq!(token(&api.token("gmail").await), after);
}

/// A read that was held up between the database and the cache.
#[tokio::test]
async fn ca03_what_comes_late_is_not_put_over_a_block_nor_after_its_time() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    let app = &api.app;
    let cache = app.cache.as_ref().expect("a cache");
    let provider = app.settings.providers.find("gmail").expect("gmail");
    let owner = Owner::new(None, None).expect("names");
    let find = || async { cache.find(app, "gmail", &owner, None).await };
    let Found::Nothing(asked) = find().await else {
        panic!("the cache is empty");
    };
    let wanted = Wanted {
        owner: owner.clone(),
        account: None,
        scopes: Default::default(),
        mode: Default::default(),
        min_ttl: None,
        rejected: None,
    };
    let read = tokens::usable(app, provider, &wanted).await;
    let read = read.expect("a token");

    cache.block(&read.connection.key, None).await;
    cache
        .put(app, &read.connection, &read.credentials, None, asked)
        .await;
    let blocked = find().await;
    unblocked(&api).await;
    cache
        .put(app, &read.connection, &read.credentials, None, asked)
        .await;
    let in_time = find().await;
    unblocked(&api).await;
    tokio::time::sleep(Duration::from_millis(5100)).await;
    cache
        .put(app, &read.connection, &read.credentials, None, asked)
        .await;
    let too_late = find().await;

    assert!(matches!(blocked, Found::Unusable), "{blocked:?}");
    assert!(matches!(in_time, Found::Entry(_)), "{in_time:?}");
    assert!(matches!(too_late, Found::Nothing(_)), "{too_late:?}");
}
