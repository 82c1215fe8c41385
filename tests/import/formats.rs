//! Every known form becomes a connection whose token works, and what cannot is refused.

use grantkeep_tests::TestApi;
use serde_json::{Value, json};

use crate::support::{ALICE, READONLY, count, filled, fixture, import, live};

#[tokio::test]
async fn every_form_of_file_becomes_a_connection_that_works() {
    for name in [
        "google_auth_to_json_2.62.json",
        "google_auth_to_json_strip_token.json",
        "gcloud_adc_authorized_user.json",
        "node_quickstart_authorized_user.json",
        "node_raw_tokens_credentials.json",
        "go_quickstart_token.json",
        "oauth2client_storage_ezgmail.json",
        "oauthlib_token_dict.json",
        "dotnet_token_response.json",
        "authjs_account_row.json",
        "better_auth_account_row.json",
        "generic_expires_at_iso.json",
    ] {
        let api = TestApi::start().await;
        let live = live(&api, &format!("{READONLY} openid email"));
        let mut body: Value = serde_json::from_str(&filled(name, &live)).expect(name);
        body["provider"] = json!("gmail");

        let made = import(&api, body).await;

        assert_eq!(made.status, 201, "{name}: {}", made.text);
        let made = made.json();
        assert_eq!(made["account"], ALICE, "{name}");
        assert_eq!(made["status"], "active", "{name}");
        let token = api.token("gmail").await;
        assert_eq!(token.status, 200, "{name}: {}", token.text);
        let scope = format!("/api/token?provider=gmail&scope={READONLY}");
        assert_eq!(api.get(&scope).await.status, 200, "{name}");
        api.set_expiry("gmail", -1).await;
        let again = api.token("gmail").await.json();
        assert_ne!(
            again["access_token"],
            token.json()["access_token"],
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_imported_is_refused_with_the_way_out_and_nothing_is_stored() {
    let api = TestApi::start().await;
    for (name, field, way_out) in [
        (
            "REJECT_client_secret_evil_token_uri.json",
            "web",
            "GOOGLE_CLIENT_ID",
        ),
        (
            "REJECT_no_refresh_token.json",
            "refresh_token",
            "access_type=offline",
        ),
        ("REJECT_service_account.json", "type", "connect as a user"),
        (
            "client_secret_installed.json",
            "installed",
            "GOOGLE_CLIENT_ID",
        ),
        ("client_secret_web.json", "web", "GOOGLE_CLIENT_ID"),
        ("google_auth_to_json_2.62.json", "client_id", "_CLIENT_ID"),
    ] {
        let body: Value = serde_json::from_str(&fixture(name)).expect(name);

        let refused = import(&api, body).await;

        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "invalid_request"),
            "{name}: {}",
            refused.text
        );
        let error = &refused.json()["errors"][0];
        assert_eq!(error["field"], field, "{name}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(way_out), "{name}: {message}");
        assert!(!refused.text.contains("SYNTHETIC"), "{name}");
    }
    assert_eq!(
        count(&api, "pg_class where relname = 'oauth_tokens'").await,
        0
    );
    assert_eq!(api.provider.token_requests(), 0);
}

#[tokio::test]
async fn an_endpoint_in_a_file_is_never_used_and_a_strangers_is_refused() {
    let api = TestApi::start().await;
    let live = live(&api, READONLY);
    let mut body: Value =
        serde_json::from_str(&filled("google_auth_to_json_2.62.json", &live)).expect("JSON");

    body["token_uri"] = json!("https://evil.example.test/token");
    let refused = import(&api, body.clone()).await;
    assert_eq!(refused.json()["errors"][0]["field"], "token_uri");
    assert_eq!(api.provider.token_requests(), 0);

    for known in [
        "https://accounts.google.com/o/oauth2/token",
        "https://www.googleapis.com/oauth2/v4/token",
    ] {
        body["token_uri"] = json!(known);
        let made = import(&api, body.clone()).await;
        assert!(made.status < 300, "{known}: {}", made.text);
    }
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn a_row_of_an_older_table_says_whose_it_is() {
    let api = TestApi::start().await;
    let live = live(&api, READONLY);

    let made = import(
        &api,
        json!({
            "workspace_id": "ws_abc123", "actor_id": "user_456", "account": ALICE,
            "token_data": {"access_token": live.access, "refresh_token": live.refresh},
            "expires_at": "2026-01-02T03:04:05",
        }),
    )
    .await
    .json();

    assert_eq!(
        (&made["workspace"], &made["actor"], &made["account"]),
        (&json!("ws_abc123"), &json!("user_456"), &json!(ALICE))
    );
}
