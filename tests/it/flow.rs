//! The main path: connect, read, refresh, disconnect.

use grantkeep_tests::{Consent, TestApi};

#[tokio::test]
async fn a_connected_account_gives_an_access_token() {
    let api = TestApi::start().await;

    let done = api.connect("gmail").await;
    let token = api.token("gmail").await;

    assert_eq!(done.status, 303, "{}", done.text);
    assert_eq!(
        done.location_parameter("connection").as_deref(),
        Some("connected")
    );
    assert_eq!(token.status, 200, "{}", token.text);
    assert_eq!(token.json()["account"], "alice@example.test");
    assert_eq!(token.json()["persisted"], true);
    assert_eq!(token.header("cache-control"), "no-store");
}

#[tokio::test]
async fn an_expired_token_is_refreshed_by_the_read() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let before = api.token("gmail").await.json()["access_token"].clone();
    api.set_expiry("gmail", -1).await;

    let after = api.token("gmail").await;

    assert_eq!(after.status, 200, "{}", after.text);
    assert_ne!(after.json()["access_token"], before);
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn an_unticked_box_is_seen_at_once_and_asked_for_again() {
    let api = TestApi::start().await;
    let readonly = "https://www.googleapis.com/auth/gmail.readonly";

    let done = api.connect_with("gmail", &Consent::without(readonly)).await;
    let refused = api
        .get(&format!("/api/token?provider=gmail&scope={readonly}"))
        .await;

    assert_eq!(
        done.location_parameter("connection").as_deref(),
        Some("insufficient_scope")
    );
    assert_eq!(
        done.location_parameter("missing_scope").as_deref(),
        Some(readonly)
    );
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "insufficient_scope")
    );
    assert_eq!(refused.json()["missing_scopes"][0], readonly);
    assert!(
        refused.json()["connect_url"]
            .as_str()
            .unwrap_or_default()
            .contains("scope=")
    );
}

#[tokio::test]
async fn a_disconnected_account_is_revoked_and_gone() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let id = api.token("gmail").await.json()["connection_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();

    let gone = api.delete(&format!("/api/connections/{id}")).await;
    let after = api.token("gmail").await;

    assert_eq!(
        gone.json(),
        serde_json::json!({"revoked": true, "reason": null, "deleted": true})
    );
    assert_eq!(
        (after.status, after.code().as_str()),
        (404, "not_connected")
    );
}
