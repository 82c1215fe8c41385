//! What was refreshed is stored before it is handed out, or kept until it can be.

use std::time::Duration;

use grantkeep_demo_provider::RefreshTokens;
use grantkeep_devpg::Postgres;
use grantkeep_tests::instance::{Process, get};
use grantkeep_tests::{Consent, TestApi, database};
use serde_json::json;

use crate::support::{GMAIL, access_token, connect_as, refresh_token, refusal, text, until};

/// A server of the test's own, which it may stop.
fn own_server() -> Postgres {
    Postgres::start(&mut |_| {}).expect("a Postgres server")
}

#[tokio::test(flavor = "multi_thread")]
async fn rf03_a_refresh_that_cannot_be_saved_is_handed_out_and_written_first_thing_later() {
    let mut server = own_server();
    let api = TestApi::builder()
        .variable("DATABASE_URL", &server.url())
        .provider("gmail", json!({"refresh_tokens": "single_use"}))
        .start()
        .await;
    api.provider
        .update(|knobs| knobs.refresh_tokens = RefreshTokens::SingleUse);
    api.connect("gmail").await;
    connect_as(&api, "gmail", "default", "other").await;
    let other = format!("{GMAIL}&actor=other");
    let process = Process::start("token", &api.variables).await;
    access_token(&get(&process.origin, &other).await);
    api.provider.update(|knobs| knobs.delay_ms = 1000);
    let expire = "update oauth_tokens set expires_at = now() where actor_id = 'default'";
    database::execute(&api.database_url, expire).await;

    let origin = process.origin.clone();
    let refreshing = tokio::spawn(async move { get(&origin, GMAIL).await });
    until(async || api.provider.refresh_requests() == 1).await;
    tokio::task::block_in_place(|| server.stop());
    let unsaved = refreshing.await.expect("an answer");
    let still_down = get(&process.origin, GMAIL).await;
    let unknown = get(&process.origin, &other).await;

    let token = access_token(&unsaved);
    assert_eq!(unsaved.json()["persisted"], false);
    assert_eq!(access_token(&still_down), token);
    assert_eq!(still_down.json()["persisted"], false);
    assert_eq!(refusal(&unknown), (503, "storage_unavailable".to_owned()));
    assert_ne!(unknown.header("retry-after"), "");
    assert!(process.stdout().contains("refreshed but not saved"));

    tokio::task::block_in_place(|| server.restart()).expect("restarts");
    let version = "select version::text from oauth_tokens where actor_id = 'default'";
    assert_eq!(api.text(version).await.as_deref(), Some("1"));
    // Any invocation will do.
    access_token(&get(&process.origin, &other).await);
    assert_eq!(api.text(version).await.as_deref(), Some("2"));

    let saved = get(&process.origin, GMAIL).await;
    let elsewhere = api.token("gmail").await;
    assert_eq!(access_token(&saved), token);
    assert_eq!(saved.json()["persisted"], true);
    assert_eq!(access_token(&elsewhere), token);
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf03_a_callback_that_cannot_save_is_an_error_page_and_no_success() {
    let mut server = own_server();
    let api = TestApi::builder()
        .variable("DATABASE_URL", &server.url())
        .start()
        .await;
    api.provider.update(|knobs| knobs.delay_ms = 1000);
    let session = grantkeep_tests::api::session("default", "default");
    let mut visitor = api.visitor();
    let begun = visitor
        .get(&format!("/api/oauth/gmail/authorize?session={session}"))
        .await;
    let callback = visitor
        .consent(begun.header("location"), &Consent::default())
        .await;

    let (done, ()) = tokio::join!(visitor.get(&callback), async {
        until(async || api.provider.token_requests() == 1).await;
        tokio::task::block_in_place(|| server.stop());
    });

    assert_eq!(done.status, 503, "{}", done.text);
    assert_eq!(done.header("location"), "");
    tokio::task::block_in_place(|| server.restart()).expect("restarts");
    assert_eq!(refusal(&api.token("gmail").await).0, 404);
}

#[tokio::test]
async fn rf04_an_answer_without_a_refresh_token_leaves_the_stored_one_as_it_is() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let before = refresh_token(&api, "gmail").await;
    api.set_expiry("gmail", -1).await;

    access_token(&api.token("gmail").await);

    assert_eq!(api.provider.refresh_requests(), 1);
    assert_eq!(refresh_token(&api, "gmail").await, before);
}

#[tokio::test]
async fn rf04_a_new_refresh_token_replaces_the_stored_one() {
    let api = TestApi::start().await;
    api.provider
        .update(|knobs| knobs.refresh_tokens = RefreshTokens::Rotate);
    api.connect("outlook").await;
    let before = refresh_token(&api, "outlook").await;
    api.set_expiry("outlook", -1).await;

    access_token(&api.token("outlook").await);

    let after = refresh_token(&api, "outlook").await;
    assert_ne!(after, before);
    api.set_expiry("outlook", -1).await;
    access_token(&api.token("outlook").await);
    let requests = api.provider.requests();
    let last = requests.iter().rfind(|r| r.endpoint == "/token");
    assert_eq!(
        last.and_then(|request| request.parameter("refresh_token")),
        Some(after.as_str())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rf16_a_connection_deleted_during_its_refresh_stays_deleted_and_the_result_is_revoked() {
    let api = TestApi::builder()
        .provider(
            "gmail",
            json!({"refresh_tokens": "rotate", "revocation": {"reach": "connection"}}),
        )
        .start()
        .await;
    api.connect("gmail").await;
    api.provider.update(|knobs| {
        knobs.refresh_tokens = RefreshTokens::Rotate;
        knobs.delay_ms = 1000;
    });
    api.set_expiry("gmail", -1).await;

    let (reply, ()) = tokio::join!(api.token("gmail"), async {
        until(async || api.provider.refresh_requests() == 1).await;
        database::execute(&api.database_url, "delete from oauth_tokens").await;
    });

    assert_eq!(refusal(&reply), (404, "not_connected".to_owned()));
    assert_eq!(
        api.text("select count(*)::text from oauth_tokens")
            .await
            .as_deref(),
        Some("0")
    );
    let requests = api.provider.requests();
    let revoked = requests.iter().filter(|r| r.endpoint == "/revoke").count();
    assert_eq!(revoked, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf16_a_disconnect_waits_for_the_refresh_and_revokes_what_came_of_it() {
    let api = TestApi::builder()
        .provider("gmail", json!({"refresh_tokens": "single_use"}))
        .start()
        .await;
    api.connect("gmail").await;
    let id = text(&api.token("gmail").await.json()["connection_id"]);
    api.provider.update(|knobs| {
        knobs.refresh_tokens = RefreshTokens::SingleUse;
        knobs.delay_ms = 700;
    });
    api.set_expiry("gmail", -1).await;

    let (reply, gone) = tokio::join!(api.token("gmail"), async {
        until(async || api.provider.refresh_requests() == 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        api.delete(&format!("/api/connections/{id}")).await
    });

    let refreshed = access_token(&reply);
    assert_eq!(
        gone.json(),
        json!({"revoked": true, "reason": null, "deleted": true})
    );
    assert_eq!(refusal(&api.token("gmail").await).0, 404);
    let profile = grantkeep_tests::http::client()
        .get(format!(
            "{}/gmail/v1/users/me/profile",
            api.provider.origin()
        ))
        .header("authorization", format!("Bearer {refreshed}"));
    assert_eq!(grantkeep_tests::http::send(profile).await.status, 401);
}
