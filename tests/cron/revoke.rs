//! Disconnecting while the provider is down: it is told later, and never at the cost of a
//! connection that was made since.

use grantkeep_demo_provider::Knobs;
use grantkeep_tests::TestApi;
use grantkeep_tests::http::{client, send};
use serde_json::{Value, json};

use crate::support::{count, execute, run};

const DUE: &str = "update pending_revocations set retry_at = now()";

/// Connected and disconnected while the provider's revocation endpoint answers so; the access
/// token that there was.
async fn disconnected(api: &TestApi, status: u16) -> (String, Value) {
    api.connect("gmail").await;
    let token = api.token("gmail").await.json();
    api.provider
        .update(|knobs| knobs.revoke_status = Some(status));
    let id = token["connection_id"].as_str().expect("an id");
    let gone = api.delete(&format!("/api/connections/{id}")).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    let access_token = token["access_token"].as_str().expect("a token").to_owned();
    (access_token, gone.json())
}

/// What the provider's API answers to a token.
async fn whoami(api: &TestApi, token: &str) -> u16 {
    let url = format!("{}/api/whoami", api.provider.origin());
    send(client().get(url).bearer_auth(token)).await.status
}

fn revocations(api: &TestApi) -> usize {
    let requests = api.provider.requests();
    requests.iter().filter(|r| r.endpoint == "/revoke").count()
}

async fn events(api: &TestApi) -> Option<String> {
    api.text(
        "select string_agg(type || coalesce(' ' || (data->>'reason'), ''), ', ' order by created_at)
           from connection_events where type like 'connection.revoke%'",
    )
    .await
}

#[tokio::test]
async fn rv01_a_provider_that_is_down_is_told_when_it_is_back() {
    let api = TestApi::start().await;
    let (token, gone) = disconnected(&api, 503).await;

    assert_eq!(
        gone,
        json!({"revoked": false, "reason": "queued", "deleted": true})
    );
    assert_eq!(count(&api, "oauth_tokens").await, 0);
    assert_eq!(api.token("gmail").await.status, 404);
    let kept = "pending_revocations where retry_at > now() and retry_at < now() + interval '2 minutes' and expires_at <= now() + interval '24 hours'";
    assert_eq!(count(&api, kept).await, 1);
    let refresh_token = "pending_revocations where position('1//0'::bytea in token_data) > 0";
    assert_eq!(count(&api, refresh_token).await, 0);
    // Not before its time.
    assert_eq!(run(&api).await["revoked"], 0);
    assert_eq!(whoami(&api, &token).await, 200);

    api.provider.set(Knobs::default());
    execute(&api, DUE).await;
    let done = run(&api).await;

    assert_eq!(
        (&done["revoked"], &done["revoke_failed"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(whoami(&api, &token).await, 401);
    assert_eq!(count(&api, "pending_revocations").await, 0);
    assert_eq!(events(&api).await.as_deref(), Some("connection.revoked"));
}

#[tokio::test]
async fn rv01_after_a_day_it_is_given_up_and_the_token_is_gone() {
    let api = TestApi::start().await;
    disconnected(&api, 503).await;
    let mut waits = Vec::new();
    for _ in 0..8 {
        execute(&api, DUE).await;
        let done = run(&api).await;
        assert_eq!(
            (&done["revoked"], &done["revoke_failed"]),
            (&json!(0), &json!(0))
        );
        let wait =
            "select extract(epoch from retry_at - now())::int::text from pending_revocations";
        let wait = api.text(wait).await.expect("it is still there");
        waits.push(wait.parse::<i64>().expect("seconds"));
    }
    assert!(waits[0] >= 60 && waits[0] <= 160, "{waits:?}");
    assert!(waits[7] > 2000 && waits[7] <= 4500, "{waits:?}");

    execute(
        &api,
        "update pending_revocations set retry_at = now(), expires_at = now()",
    )
    .await;
    assert_eq!(run(&api).await["revoke_failed"], 1);
    assert_eq!(count(&api, "pending_revocations").await, 0);
    let told = events(&api).await;
    assert_eq!(
        told.as_deref(),
        Some("connection.revoke_failed provider_unavailable")
    );
}

#[tokio::test]
async fn rv03_a_connection_that_was_made_since_is_not_ended() {
    let api = TestApi::start().await;
    disconnected(&api, 503).await;
    api.provider.set(Knobs::default());
    api.connect("gmail").await;
    let token = api.token("gmail").await.json();
    let before = revocations(&api);
    execute(&api, DUE).await;

    assert_eq!(run(&api).await["revoke_failed"], 1);

    assert_eq!(revocations(&api), before, "nobody was asked to revoke");
    let token = token["access_token"].as_str().expect("a token");
    assert_eq!(whoami(&api, token).await, 200);
    let told = events(&api).await;
    let expected = "connection.revoke_failed shared_with_another_connection";
    assert_eq!(told.as_deref(), Some(expected));
}

#[tokio::test]
async fn rv03_another_provider_of_the_same_project_counts_as_much() {
    let api = TestApi::start().await;
    disconnected(&api, 503).await;
    api.provider.set(Knobs::default());
    api.connect("google_calendar").await;
    execute(&api, DUE).await;

    assert_eq!(run(&api).await["revoke_failed"], 1);
    assert_eq!(api.token("google_calendar").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn rv01_runs_at_once_revoke_once() {
    let api = TestApi::start().await;
    disconnected(&api, 503).await;
    api.provider.set(Knobs::default());
    let before = revocations(&api);
    execute(&api, DUE).await;

    let (one, other, third) = tokio::join!(run(&api), run(&api), run(&api));

    let revoked = [one, other, third]
        .iter()
        .map(|d| d["revoked"].as_u64())
        .sum::<Option<u64>>();
    assert_eq!(revoked, Some(1));
    assert_eq!(revocations(&api) - before, 1);
}

#[tokio::test]
async fn rv02_a_refusal_that_will_not_change_is_not_queued() {
    let api = TestApi::start().await;
    let (_, gone) = disconnected(&api, 404).await;
    assert_eq!(gone["reason"], "provider_refused");
    assert_eq!(count(&api, "pending_revocations").await, 0);
}

#[tokio::test]
async fn en03_a_queued_token_opens_in_its_own_row_only() {
    let api = TestApi::start().await;
    disconnected(&api, 503).await;
    api.provider.set(Knobs::default());
    execute(
        &api,
        "update pending_revocations set actor_id = 'mallory', retry_at = now()",
    )
    .await;

    assert_eq!(run(&api).await["revoke_failed"], 1);
    let told = events(&api).await;
    assert_eq!(
        told.as_deref(),
        Some("connection.revoke_failed credentials_unreadable")
    );
}
