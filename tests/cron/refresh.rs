//! What is refreshed before anybody asks, and what is not.

use grantkeep_tests::TestApi;
use grantkeep_tests::bulk::{self, DUE, FRESH, Seed};
use serde_json::json;

use crate::support::{count, execute, run};

/// How many rows were refreshed.
async fn refreshed(api: &TestApi) -> u64 {
    count(api, "oauth_tokens where last_refreshed_at is not null").await
}

#[tokio::test]
async fn rf11_what_ends_soon_is_refreshed_once_and_nothing_else_is() {
    let api = TestApi::start().await;
    let due = bulk::connections(&api.app, &api.provider, DUE, 40).await;
    bulk::connections(&api.app, &api.provider, FRESH, 40).await;

    let first = run(&api).await;
    let second = run(&api).await;

    assert_eq!(
        (&first["refreshed"], &first["failed"]),
        (&json!(40), &json!(0))
    );
    assert_eq!(
        (&first["more"], &second["refreshed"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(api.provider.refresh_requests(), 40);
    assert_eq!(refreshed(&api).await, 40);
    let ids: Vec<String> = due.iter().map(|id| format!("'{id}'")).collect();
    let others = format!(
        "oauth_tokens where last_refreshed_at is not null and id not in ({})",
        ids.join(",")
    );
    assert_eq!(count(&api, &others).await, 0);
    let left = "oauth_tokens where lease_id is not null or version > 2";
    assert_eq!(count(&api, left).await, 0);
}

#[tokio::test]
async fn rf11_the_read_that_follows_asks_nobody() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    execute(
        &api,
        "update oauth_tokens set expires_at = now() - interval '1 day', status_since = now() - interval '2 days'",
    )
    .await;

    assert_eq!(run(&api).await["refreshed"], 1);
    let asked = api.provider.token_requests();
    let read = api.token("gmail").await;

    assert_eq!(read.status, 200, "{}", read.text);
    assert!(read.json()["expires_in"].as_i64() > Some(3500));
    assert_eq!(api.provider.token_requests(), asked);
}

#[tokio::test]
async fn a_token_that_has_more_than_half_of_its_life_left_is_not_due_however_short_that_is() {
    let api = TestApi::start().await;
    let young = Seed {
        expires_in: 200.0,
        age: 100.0,
        ..DUE
    };
    let old = Seed {
        expires_in: 100.0,
        age: 200.0,
        ..DUE
    };
    bulk::connections(&api.app, &api.provider, young, 3).await;
    assert_eq!(run(&api).await["refreshed"], 0);

    bulk::connections(&api.app, &api.provider, old, 3).await;
    api.provider
        .update(|knobs| knobs.access_token_lifetime_s = 1);
    assert_eq!(run(&api).await["refreshed"], 3);
    // Tokens that are due again at once do not keep the run from ending.
    assert_eq!(api.provider.refresh_requests(), 3);
}

#[tokio::test]
async fn rf11_connections_of_the_same_moment_are_spread_over_two_runs() {
    let api = TestApi::start().await;
    // Ten minutes are always due; up to five more by the connection's own part.
    let spread = Seed {
        expires_in: 750.0,
        age: 2850.0,
        ..DUE
    };
    bulk::connections(&api.app, &api.provider, spread, 200).await;

    let first = run(&api).await["refreshed"].as_u64().expect("a count");
    assert!((40..=160).contains(&first), "{first} of 200");

    execute(&api, "update oauth_tokens set expires_at = expires_at - interval '160 seconds' where last_refreshed_at is null").await;
    assert_eq!(run(&api).await["refreshed"], 200 - first);
    assert_eq!(api.provider.refresh_requests(), 200);
}

#[tokio::test]
async fn rf11_a_refresh_token_is_used_before_it_dies_of_idleness() {
    let api = TestApi::builder()
        .provider("gmail", json!({"refresh_token_idle_lifetime": 8_640_000}))
        .start()
        .await;
    // Access tokens that never end, as some providers have them: 80, 62 and 45 of 100 days.
    for days in [80, 62, 45] {
        let seed = Seed {
            expires_in: 0.0,
            age: f64::from(days) * 86_400.0,
            ..DUE
        };
        bulk::connections(&api.app, &api.provider, seed, 40).await;
    }
    execute(&api, "update oauth_tokens set expires_at = null").await;

    let done = run(&api).await["refreshed"].as_u64().expect("a count");

    let of = |days: &str| {
        format!(
            "oauth_tokens where last_refreshed_at is not null and status_since < now() - interval '{days} days'"
        )
    };
    assert_eq!(count(&api, &of("70")).await, 40);
    let between = count(&api, &of("50")).await - 40;
    assert!((5..=35).contains(&between), "{between} of 40 at 62 days");
    assert_eq!(done, 40 + between);
}

#[tokio::test]
async fn rf11_a_provider_that_limits_refreshes_is_not_asked_sooner() {
    let api = TestApi::builder()
        .provider("gmail", json!({"min_refresh_interval": 86400}))
        .start()
        .await;
    bulk::connections(&api.app, &api.provider, DUE, 3).await;
    assert_eq!(run(&api).await["refreshed"], 0);

    execute(
        &api,
        "update oauth_tokens set status_since = now() - interval '25 hours'",
    )
    .await;
    assert_eq!(run(&api).await["refreshed"], 3);
}

#[tokio::test]
async fn a_connection_without_a_refresh_token_is_left_alone_and_found_dead_when_it_ends() {
    let api = TestApi::start().await;
    api.provider.update(|knobs| knobs.omit_refresh_token = true);
    api.connect("gmail").await;
    let ends_in = |seconds: i64| {
        format!(
            "update oauth_tokens set expires_at = now() + interval '{seconds} seconds', status_since = now() - interval '1 hour'"
        )
    };
    // As one that was imported: nothing in the row says that it cannot be refreshed.
    execute(&api, "update oauth_tokens set status_reason = null").await;
    execute(&api, &ends_in(60)).await;
    let alive = run(&api).await;
    assert_eq!(
        (&alive["refreshed"], &alive["failed"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(api.token("gmail").await.status, 200);

    execute(&api, &ends_in(-1)).await;
    execute(&api, "update oauth_tokens set retry_at = null").await;
    assert_eq!(run(&api).await["reauthorization_required"], 1);
    assert_eq!(api.provider.refresh_requests(), 0);
    let reason = "select status_reason from oauth_tokens";
    assert_eq!(api.text(reason).await.as_deref(), Some("no_refresh_token"));
}

#[tokio::test]
async fn rf11_the_end_of_a_grant_is_announced_once_for_each_of_14_3_and_1_days() {
    let api = TestApi::start().await;
    bulk::connections(&api.app, &api.provider, FRESH, 2).await;
    execute(
        &api,
        "update oauth_tokens set status_since = now() - interval '90 days'",
    )
    .await;
    let mut told = Vec::new();
    for hours in [15 * 24, 14 * 24 - 1, 10 * 24, 71, 30, 23, 2] {
        let ends = format!(
            "update oauth_tokens set refresh_expires_at = now() + interval '{hours} hours'"
        );
        execute(&api, &ends).await;
        told.push(run(&api).await["reauth_due"].as_u64().expect("a count"));
    }

    assert_eq!(told, [0, 2, 0, 2, 0, 2, 0]);
    let days = "select string_agg(days, ' ') from (select distinct data->>'days' as days from connection_events where type = 'connection.reauth_due' order by 1) as all_days";
    assert_eq!(api.text(days).await.as_deref(), Some("1 14 3"));
    // Consent anew begins anew.
    execute(
        &api,
        "update oauth_tokens set status_since = now() - interval '80 days'",
    )
    .await;
    assert_eq!(run(&api).await["reauth_due"], 2);
}

#[tokio::test]
async fn rf11_a_week_long_grant_is_not_announced_14_days_before_and_a_moving_end_never() {
    let api = TestApi::builder()
        .provider("outlook", json!({"refresh_tokens": "rotate"}))
        .start()
        .await;
    bulk::connections(&api.app, &api.provider, FRESH, 1).await;
    let moving = Seed {
        provider: "outlook",
        ..FRESH
    };
    bulk::connections(&api.app, &api.provider, moving, 1).await;
    execute(&api, "update oauth_tokens set refresh_expires_at = now() + interval '6 days', status_since = now() - interval '1 day'").await;
    assert_eq!(run(&api).await["reauth_due"], 0);

    execute(&api, "update oauth_tokens set refresh_expires_at = now() + interval '2 days', status_since = now() - interval '5 days'").await;
    assert_eq!(run(&api).await["reauth_due"], 1);
    let provider = "select provider from connection_events where type = 'connection.reauth_due'";
    assert_eq!(api.text(provider).await.as_deref(), Some("gmail"));
}
