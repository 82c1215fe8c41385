//! `grantkeep rotate-keys`: everything ends up under the new key, nothing is lost on the
//! way, whoever reads, refreshes or dies meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use grantkeep_core::App;
use grantkeep_core::connection::Column;
use grantkeep_core::store::oauth_tokens::keys::{self, Resealed};
use grantkeep_demo_provider::RefreshTokens;
use grantkeep_tests::api::{ENCRYPTION_KEY, app};
use grantkeep_tests::command::{Ran, grantkeep, prepared};
use grantkeep_tests::{Consent, TestApi, database, seed};
use serde_json::Value;
use uuid::Uuid;

const OLD: &str = ENCRYPTION_KEY;
const NEW: &str = "cXVpZXQtbW91bnRhaW4tand3YWxudXQta2l0ZS04OCE=";

/// An api with the new key, and `count` connections that were sealed under the old one.
async fn rotating(count: usize) -> TestApi {
    let api = TestApi::builder()
        .variable("OAUTH_ENCRYPTION_KEY", NEW)
        .variable("OAUTH_ENCRYPTION_KEYS_RETIRED", OLD)
        .start()
        .await;
    api.provider
        .update(|knobs| knobs.refresh_tokens = RefreshTokens::SingleUse);
    seed::connections(&with_keys(&api, OLD, ""), &api.provider, count, 1000.0).await;
    api
}

fn variables(api: &TestApi, primary: &str, retired: &str) -> BTreeMap<String, String> {
    let mut variables = api.variables.clone();
    variables.insert("OAUTH_ENCRYPTION_KEY".to_owned(), primary.to_owned());
    variables.insert(
        "OAUTH_ENCRYPTION_KEYS_RETIRED".to_owned(),
        retired.to_owned(),
    );
    variables
}

fn with_keys(api: &TestApi, primary: &str, retired: &str) -> App {
    app(&variables(api, primary, retired))
}

async fn rotate(api: &TestApi, more: &[&str]) -> Ran {
    let arguments = [["rotate-keys", "--yes", "--json"].as_slice(), more].concat();
    grantkeep(&api.variables, &arguments).await
}

fn path(number: usize) -> String {
    format!("/api/token?provider=gmail&workspace=seeded&actor=actor-{number}")
}

async fn under_the_old_key(api: &TestApi) -> i64 {
    let id = with_keys(api, OLD, "").settings.keys.primary_id();
    let sql = format!("select count(*) from oauth_tokens where key_id = '{id}'");
    database::query(&api.database_url, &sql, &[]).await[0].get(0)
}

/// Every seeded connection gives a token and refreshes, with the new key alone.
async fn assert_all_live(api: &TestApi, count: usize) {
    // Callers may force a refresh once in ten seconds.
    database::execute(
        &api.database_url,
        "update oauth_tokens set forced_at = null",
    )
    .await;
    let ran = grantkeep(
        &variables(api, NEW, ""),
        &["refresh", "all", "--workspace", "seeded", "--json"],
    )
    .await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["refreshed"], count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn en05_reads_and_refreshes_go_on_without_a_failure_and_no_refresh_is_lost() {
    const COUNT: usize = 120;
    let api = rotating(COUNT).await;
    let churn = async {
        let mut failures = Vec::new();
        for round in 0..3 {
            for number in 0..COUNT {
                let answer = api.get(&path(number)).await;
                let Some(token) = answer.json()["access_token"].as_str().map(str::to_owned) else {
                    failures.push((number, answer.text));
                    continue;
                };
                if number % 3 == round {
                    let rejected = serde_json::json!({
                        "provider": "gmail", "workspace": "seeded",
                        "actor": format!("actor-{number}"), "rejected": token,
                    });
                    let fresh = api.send_json("POST", "/api/token", &rejected).await;
                    if fresh.status != 200 || fresh.json()["access_token"] == token.as_str() {
                        failures.push((number, fresh.text));
                    }
                }
            }
        }
        failures
    };
    let rotation = async {
        // Slowly, again and again, so that it runs beside all of it.
        let mut last = rotate(&api, &["--batch-size", "1"]).await;
        for _ in 0..3 {
            last = rotate(&api, &["--batch-size", "7"]).await;
        }
        last
    };

    let (failures, last) = tokio::join!(churn, rotation);

    assert_eq!(failures, Vec::<(usize, String)>::new());
    assert_eq!(last.code, 0, "{last:?}");
    assert_eq!(last.json()["retired_keys"][0]["can_go"], true);
    assert_eq!(under_the_old_key(&api).await, 0);
    assert_all_live(&api, COUNT).await;
}

#[tokio::test]
async fn en05_a_refresh_under_way_saves_over_what_was_sealed_anew_meanwhile() {
    let api = rotating(1).await;
    let before = api.get(&path(0)).await.json()["access_token"].clone();
    api.provider.update(|knobs| knobs.delay_ms = 4500);
    let body = serde_json::json!({
        "provider": "gmail", "workspace": "seeded", "actor": "actor-0", "rejected": before,
    });

    let refresh = api.send_json("POST", "/api/token", &body);
    let rotation = async {
        while api.provider.refresh_requests() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        rotate(&api, &[]).await
    };
    let (fresh, rotated) = tokio::join!(refresh, rotation);

    assert_eq!(rotated.json()["resealed"], 1, "{rotated:?}");
    assert_eq!(fresh.json()["persisted"], true, "{fresh:?}");
    let stored = api.get(&path(0)).await.json()["access_token"].clone();
    assert_eq!(stored, fresh.json()["access_token"]);
    assert_ne!(stored, before);
}

#[tokio::test]
async fn en05_what_was_opened_before_a_refresh_never_overwrites_it() {
    let api = rotating(1).await;
    let primary = api.app.settings.keys.primary_id().to_string();
    let aged = keys::list_aged(&api.app.store, &primary, Uuid::nil(), 10)
        .await
        .expect("rows");
    let (row, ring) = (&aged[0], &api.app.settings.keys);
    let place = row.key.place(Column::TokenData);
    let plaintext = ring
        .open(row.sealed.as_deref().expect("sealed"), &place)
        .expect("opens");
    let resealed = Resealed {
        id: row.key.id,
        version: row.version,
        sealed: ring.seal(&plaintext, &place, api.app.fill),
    };
    // An instance that still seals under the old key refreshes in between.
    let refreshed = grantkeep(&variables(&api, OLD, NEW), &["refresh", "all"]).await;
    assert_eq!(refreshed.code, 0, "{refreshed:?}");

    let replaced = keys::replace(&api.app.store, &primary, &[resealed]).await;

    assert_eq!(replaced, Ok(0));
    assert_eq!(rotate(&api, &[]).await.json()["resealed"], 1);
    assert_all_live(&api, 1).await;
}

#[tokio::test]
async fn en05_killed_at_any_moment_it_goes_on_where_it_was() {
    let api = rotating(150).await;
    let arguments = ["rotate-keys", "--yes", "--batch-size", "1"];
    let mut left = vec![under_the_old_key(&api).await];
    for _ in 0..3 {
        let mut child = prepared(&api.variables, &arguments)
            .await
            .spawn()
            .expect("starts");
        let before = left[left.len() - 1];
        while under_the_old_key(&api).await == before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        child.kill().await.expect("killed");
        left.push(under_the_old_key(&api).await);
    }
    assert!(left.is_sorted_by(|a, b| a > b) && left[3] > 0, "{left:?}");

    let last = rotate(&api, &[]).await;
    let again = rotate(&api, &[]).await;

    assert_eq!((last.code, &last.json()["resealed"]), (0, &left[3].into()));
    assert_eq!((again.code, &again.json()["resealed"]), (0, &0.into()));
    assert_eq!(api.get(&path(149)).await.status, 200);
}

#[tokio::test]
async fn a_dry_run_opens_everything_and_writes_nothing() {
    let api = rotating(3).await;

    let ran = rotate(&api, &["--dry-run"]).await;

    assert_eq!((ran.code, &ran.json()["resealed"]), (0, &3.into()));
    assert_eq!(under_the_old_key(&api).await, 3);
}

#[tokio::test]
async fn a_key_that_no_function_used_yet_is_asked_about() {
    let api = rotating(2).await;

    let unasked = grantkeep(&api.variables, &["rotate-keys"]).await;
    assert_eq!((unasked.code, under_the_old_key(&api).await), (2, 2));

    api.connect("google_calendar").await;
    let known = grantkeep(&api.variables, &["rotate-keys"]).await;
    assert_eq!((known.code, under_the_old_key(&api).await), (0, 0));
}

#[tokio::test]
async fn en05_rows_under_a_key_that_is_not_configured_stay_untouched_and_are_named() {
    let api = rotating(2).await;
    let change = "update oauth_tokens set token_data = token_data || '\\x00'
                   where actor_id = 'actor-1'";
    database::execute(&api.database_url, change).await;

    let altered = rotate(&api, &[]).await;
    let without = variables(&api, "d2lsbG93LXN0b25lLW1hcmtldC1jYW5kbGUtMTkhISE=", "");
    let missing = grantkeep(&without, &["rotate-keys", "--yes", "--json"]).await;

    assert_eq!(altered.code, 1);
    assert_eq!(altered.json()["resealed"], 1);
    assert_eq!(
        altered.json()["unreadable"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(altered.json()["retired_keys"][0]["can_go"], false);
    assert_eq!(missing.code, 1);
    assert_eq!(missing.json()["resealed"], 0);
    let unreadable: Vec<Value> = missing.json()["unreadable"]
        .as_array()
        .expect("a list")
        .clone();
    assert_eq!(unreadable.len(), 2);
    assert!(
        unreadable[0]["detail"]
            .as_str()
            .expect("why")
            .contains("not configured")
    );
    assert_eq!(api.get(&path(0)).await.status, 200);
}

#[tokio::test]
async fn a_token_set_that_waits_for_confirmation_is_sealed_anew_too() {
    let api = TestApi::start().await;
    let link = ["connect", "gmail", "--confirm"];
    let link = grantkeep(&api.variables, &link).await.stdout;
    let mut visitor = api.visitor();
    visitor
        .connect(api.local(link.trim()), &Consent::default())
        .await;

    let rotating = variables(&api, NEW, OLD);
    let ran = grantkeep(&rotating, &["rotate-keys", "--yes", "--json"]).await;

    assert_eq!(
        (ran.code, &ran.json()["resealed"]),
        (0, &1.into()),
        "{ran:?}"
    );
    let new_alone = with_keys(&api, NEW, "");
    let id = api
        .text("select id::text from oauth_tokens")
        .await
        .expect("a row");
    let id = grantkeep_core::connection::ConnectionId(id.parse().expect("an id"));
    let row = grantkeep_core::store::oauth_tokens::find_by_id(&new_alone.store, id)
        .await
        .expect("read")
        .expect("there");
    assert!(grantkeep_core::connect::pending(&new_alone, &row).is_some());
}

#[tokio::test]
async fn a_token_that_waits_for_its_revocation_is_sealed_anew_and_still_revoked() {
    let api = TestApi::builder()
        .variable("CRON_SECRET", "a-cron-secret-of-tests-alone")
        .start()
        .await;
    api.connect("gmail").await;
    api.provider.update(|knobs| knobs.revoke_status = Some(503));
    let id = api
        .text("select id::text from oauth_tokens")
        .await
        .expect("a row");
    let gone = api.delete(&format!("/api/connections/{id}")).await.json();
    assert_eq!(gone["reason"], "queued", "{gone}");

    let rotating = variables(&api, NEW, OLD);
    let ran = grantkeep(&rotating, &["rotate-keys", "--yes", "--json"]).await;

    assert_eq!(
        (ran.code, &ran.json()["resealed"]),
        (0, &1.into()),
        "{ran:?}"
    );
    assert_eq!(ran.json()["retired_keys"][0]["can_go"], true);
    api.provider.update(|knobs| knobs.revoke_status = None);
    database::execute(
        &api.database_url,
        "update pending_revocations set retry_at = now()",
    )
    .await;
    let instance = TestApi::builder()
        .variable("DATABASE_URL", &api.database_url)
        .variable("OAUTH_ENCRYPTION_KEY", NEW)
        .variable("OAUTH_PROVIDERS", &api.variables["OAUTH_PROVIDERS"])
        .variable("CRON_SECRET", "a-cron-secret-of-tests-alone")
        .start()
        .await;
    let run = instance
        .get_as("a-cron-secret-of-tests-alone", "/api/cron/refresh")
        .await;
    assert_eq!(run.status, 200, "{run:?}");
    let revoked = "select type from connection_events where type = 'connection.revoked'";
    assert!(api.text(revoked).await.is_some());
}
