//! `grantkeep doctor`: what is wrong is found, and named with what to do.

use std::collections::BTreeMap;

use grantkeep_tests::command::{Ran, grantkeep};
use grantkeep_tests::database::{execute, server};
use grantkeep_tests::pgbouncer::PgBouncer;
use grantkeep_tests::{TestApi, seed};
use serde_json::Value;

async fn doctor(variables: &BTreeMap<String, String>) -> Ran {
    grantkeep(variables, &["doctor", "--json"]).await
}

/// The api's variables with some changed; an empty value takes one away.
fn with(api: &TestApi, changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut variables = api.variables.clone();
    for (name, value) in changes {
        variables.insert((*name).to_owned(), (*value).to_owned());
    }
    variables
}

fn findings(ran: &Ran, check: &str) -> Vec<Value> {
    let findings = ran.json()["findings"].as_array().expect("a list").clone();
    let of_check = findings.into_iter().filter(|one| one["check"] == check);
    of_check.collect()
}

fn level(ran: &Ran, check: &str) -> Value {
    let found = findings(ran, check);
    assert_eq!(found.len(), 1, "{check}: {ran:?}");
    found[0]["level"].clone()
}

#[tokio::test]
async fn a_working_installation_is_healthy_and_tells_what_to_register() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    let ran = doctor(&with(
        &api,
        &[("CRON_SECRET", "a-cron-secret-of-tests-alone")],
    ))
    .await;

    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["healthy"], true);
    for check in ["settings", "database", "clock", "schema", "gmail client"] {
        assert_eq!(level(&ran, check), "ok", "{check}");
    }
    assert_eq!(level(&ran, "encryption keys"), "ok");
    let pooler = findings(&ran, "pooler")[0]["detail"].to_string();
    assert!(pooler.contains("no pooler"), "{pooler}");
    assert_eq!(findings(&ran, "connections")[0]["detail"], "1 active");
    let redirect = findings(&ran, "gmail redirect")[0]["detail"].to_string();
    let uri = format!("{}/api/oauth/gmail/callback", api.origin);
    assert!(redirect.contains(&uri), "{redirect}");
    assert_eq!(api.token("gmail").await.status, 200);
}

#[tokio::test]
async fn a_client_that_the_provider_refuses_is_found_without_a_connection() {
    let api = TestApi::start().await;
    let wrong = with(
        &api,
        &[
            ("GMAIL_CLIENT_SECRET", "replaced-canary"),
            ("GMAIL_CLIENT_ID", &api.variables["GOOGLE_CLIENT_ID"]),
        ],
    );

    let ran = doctor(&wrong).await;
    let offline = grantkeep(&wrong, &["doctor", "--json", "--offline"]).await;

    assert_eq!(ran.code, 1);
    assert_eq!(level(&ran, "gmail client"), "fail");
    assert_eq!(level(&ran, "google_calendar client"), "ok");
    assert!(!ran.stdout.contains("replaced-canary"));
    assert_eq!(offline.code, 0, "{offline:?}");
}

#[tokio::test]
async fn every_setting_that_is_wrong_is_named_and_the_database_is_looked_at_all_the_same() {
    let api = TestApi::start().await;
    let wrong = with(
        &api,
        &[
            ("PUBLIC_URL", ""),
            ("OAUTH_ENCRYPTION_KEY", "c2hvcnQ="),
            ("SERVICE_KEYS", "x"),
        ],
    );

    let ran = doctor(&wrong).await;

    assert_eq!(ran.code, 1);
    let settings = findings(&ran, "settings");
    assert_eq!(settings.len(), 3, "{settings:?}");
    for name in ["PUBLIC_URL", "OAUTH_ENCRYPTION_KEY", "SERVICE_KEYS"] {
        assert!(
            settings
                .iter()
                .any(|one| one["detail"].to_string().contains(name)),
            "{name}"
        );
    }
    assert_eq!(level(&ran, "database"), "ok");
}

#[tokio::test]
async fn a_database_that_is_away_fails_once_and_providers_are_still_asked() {
    let api = TestApi::start().await;

    let ran = doctor(&with(
        &api,
        &[("DATABASE_URL", "postgres://u:p@127.0.0.1:1/d")],
    ))
    .await;

    assert_eq!(ran.code, 1);
    assert_eq!(level(&ran, "database"), "fail");
    assert_eq!(level(&ran, "gmail client"), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_pooler_is_told_from_a_server() {
    let api = TestApi::start().await;
    for size in [1, 4] {
        let pgbouncer = PgBouncer::start(server().port(), size);
        let url = pgbouncer.url(&api.database_url);

        let ran = doctor(&with(&api, &[("DATABASE_URL", &url)])).await;

        let pooler = findings(&ran, "pooler")[0]["detail"].to_string();
        assert!(pooler.contains("another connection"), "{size}: {pooler}");
    }
}

#[tokio::test]
async fn en05_a_key_in_use_that_is_not_configured_fails_here_and_shows_in_health() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let old = api.app.settings.keys.primary_id().to_string();
    let new = "cXVpZXQtbW91bnRhaW4tand3YWxudXQta2l0ZS04OCE=";

    let lost = doctor(&with(&api, &[("OAUTH_ENCRYPTION_KEY", new)])).await;
    let retired = with(
        &api,
        &[
            ("OAUTH_ENCRYPTION_KEY", new),
            (
                "OAUTH_ENCRYPTION_KEYS_RETIRED",
                &api.variables["OAUTH_ENCRYPTION_KEY"],
            ),
        ],
    );
    let kept = doctor(&retired).await;

    assert_eq!(lost.code, 1);
    assert!(
        findings(&lost, "encryption keys")[0]["detail"]
            .to_string()
            .contains(&old)
    );
    assert_eq!(kept.code, 0, "{kept:?}");
    assert_eq!(findings(&kept, "encryption keys")[0]["level"], "warn");

    let instance = TestApi::builder()
        .variable("DATABASE_URL", &api.database_url)
        .variable("OAUTH_ENCRYPTION_KEY", new)
        .start()
        .await;
    let health = instance.get("/api/health").await.json();
    assert_eq!(
        health["encryption"]["unknown_key_ids"],
        serde_json::json!([old])
    );
    let own = api.get("/api/health").await.json();
    assert_eq!(own["encryption"]["unknown_key_ids"], serde_json::json!([]));
}

#[tokio::test]
async fn tables_that_are_missing_and_may_not_be_made_fail() {
    let api = TestApi::start().await;
    execute(
        &api.database_url,
        "create role doctor_reader login; revoke create on schema public from public",
    )
    .await;
    let mut url = url::Url::parse(&api.database_url).expect("a URL");
    url.set_username("doctor_reader").expect("a user");

    let ran = doctor(&with(&api, &[("DATABASE_URL", url.as_str())])).await;
    let owner = doctor(&api.variables).await;

    assert_eq!(
        (ran.code, level(&ran, "schema")),
        (1, "fail".into()),
        "{ran:?}"
    );
    assert_eq!((owner.code, level(&owner, "schema")), (0, "warn".into()));
}

#[tokio::test]
async fn grants_that_die_a_week_after_consent_point_at_an_application_in_testing() {
    let api = TestApi::start().await;
    seed::connections(&api.app, &api.provider, 3, 1000.0).await;
    let week = "
        update connection_events set created_at = now() - interval '8 days';
        insert into connection_events
               (id, type, connection_id, provider, workspace_id, actor_id, account, created_at)
        select gen_random_uuid(), 'connection.reauthorization_required', connection_id, provider,
               workspace_id, actor_id, account,
               created_at + case actor_id when 'actor-2' then interval '2 days'
                                          else interval '7 days 1 hour' end
          from connection_events";
    execute(&api.database_url, week).await;

    let ran = doctor(&api.variables).await;

    assert_eq!(ran.code, 0);
    let found = findings(&ran, "gmail lifetime");
    assert_eq!(found[0]["detail"], "2 of 3 grants that died lived a week");
    assert!(found[0]["advice"].to_string().contains("Testing"));
}

#[tokio::test]
async fn dead_connections_and_keys_without_a_limit_are_worth_a_look() {
    let api = TestApi::start().await;
    seed::connections(&api.app, &api.provider, 2, 1000.0).await;
    let dead =
        "update oauth_tokens set status = 'reauthorization_required' where actor_id = 'actor-1'";
    execute(&api.database_url, dead).await;

    let ran = doctor(&api.variables).await;

    assert_eq!(
        findings(&ran, "connections")[0]["detail"],
        "1 active, 1 reauthorization_required"
    );
    let keys = findings(&ran, "service keys");
    assert!(
        keys[0]["detail"]
            .to_string()
            .contains("everything may export"),
        "{keys:?}"
    );
    assert_eq!(level(&ran, "webhook"), "warn");
}
