//! `POST /api/connections`: what it verifies, what it keeps, and who may.

use grantkeep_demo_provider::RefreshTokens;
use grantkeep_tests::api::{ACME_KEY, ENCRYPTION_KEY, KEY, READ_KEY};
use grantkeep_tests::http::send;
use grantkeep_tests::{TestApi, database};
use serde_json::{Value, json};

use crate::support::{ALICE, LABELS, READONLY, count, google_auth, import, live};

#[tokio::test]
async fn the_same_file_again_changes_nothing_and_makes_no_second_event() {
    let api = TestApi::start().await;
    let file = google_auth(&live(&api, READONLY));

    let first = import(&api, file.clone()).await;
    let second = import(&api, file).await;

    assert_eq!((first.status, second.status), (201, 200), "{}", second.text);
    assert_eq!(first.json(), second.json());
    assert_eq!(count(&api, "connection_events").await, 1);
    assert_eq!(api.provider.refresh_requests(), 1);
    let kind = api.text("select type from connection_events").await;
    assert_eq!(kind.as_deref(), Some("connection.imported"));
}

#[tokio::test]
async fn the_same_file_of_a_single_use_refresh_token_does_not_use_it_again() {
    let api = TestApi::start().await;
    api.provider
        .update(|knobs| knobs.refresh_tokens = RefreshTokens::SingleUse);
    let file = google_auth(&live(&api, READONLY));

    let first = import(&api, file.clone()).await;
    let second = import(&api, file).await;

    assert_eq!((first.status, second.status), (201, 200), "{}", second.text);
    assert_eq!(api.provider.refresh_requests(), 1);
    api.set_expiry("gmail", -1).await;
    assert_eq!(api.token("gmail").await.status, 200);
}

#[tokio::test]
async fn sc03_what_was_only_asked_for_is_not_granted() {
    let api = TestApi::start().await;
    // Asked for openid as well, and was not granted it.
    let file = google_auth(&live(&api, LABELS));

    let made = import(&api, file).await.json();

    assert_eq!(made["scopes"], json!([LABELS]));
    assert_eq!(made["missing_scopes"], json!([READONLY]));
    let token = api
        .get(&format!("/api/token?provider=gmail&scope={READONLY}"))
        .await;
    assert_eq!(token.code(), "insufficient_scope");
}

#[tokio::test]
async fn sc03_unverified_scopes_are_assumed_until_the_first_refresh_says_what_was_granted() {
    let api = TestApi::start().await;
    let mut file = google_auth(&live(&api, LABELS));
    file["verify"] = json!(false);
    let assumed = "select scopes_assumed::text || ' ' || array_to_string(scopes, ' ')
                     from oauth_tokens";

    let made = import(&api, file).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(api.provider.token_requests(), 0);
    let before = api.text(assumed).await;
    let token = api.token("gmail").await;

    assert_eq!(before, Some(format!("true {READONLY} openid")));
    // The file's access token ended long ago.
    assert_eq!((token.status, api.provider.refresh_requests()), (200, 1));
    assert_eq!(api.text(assumed).await, Some(format!("false {LABELS}")));
}

#[tokio::test]
async fn a_dead_file_is_reported_and_nothing_is_stored() {
    let api = TestApi::start().await;
    let file = google_auth(&live(&api, READONLY));
    api.provider.kill_grants();

    let refused = import(&api, file).await;

    assert_eq!(refused.status, 409);
    assert_eq!(refused.code(), "reauthorization_required");
    assert_eq!(refused.json()["reason"], "invalid_grant");
    assert!(refused.json()["connect_url"].is_string());
    let empty = api.get("/api/connections").await.json();
    assert_eq!(empty["connections"], json!([]));
}

#[tokio::test]
async fn a_provider_that_is_down_stores_nothing_and_says_to_try_again() {
    let api = TestApi::start().await;
    let file = google_auth(&live(&api, READONLY));
    api.provider.update(|knobs| {
        knobs.token_status = Some(503);
        knobs.fail_next_n = Some(1);
    });

    let refused = import(&api, file.clone()).await;

    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "provider_unavailable")
    );
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(import(&api, file).await.status, 201);
}

#[tokio::test]
async fn a_connection_that_works_is_not_overwritten_unless_it_is_asked_for() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let before = api.token("gmail").await.json();
    let mut file = google_auth(&live(&api, READONLY));

    let refused = import(&api, file.clone()).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert_eq!(refused.json()["errors"][0]["field"], "replace");
    assert_eq!(api.token("gmail").await.json(), before);

    file["replace"] = json!(true);
    let replaced = import(&api, file).await;

    assert_eq!(replaced.status, 201);
    assert_eq!(replaced.json()["id"], before["connection_id"]);
    assert_ne!(
        api.token("gmail").await.json()["access_token"],
        before["access_token"]
    );
}

#[tokio::test]
async fn a_dead_connection_comes_back_to_life_under_its_id() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let id = api.token("gmail").await.json()["connection_id"].clone();
    api.provider.kill_grants();
    api.set_expiry("gmail", -1).await;
    assert_eq!(api.token("gmail").await.code(), "reauthorization_required");

    let made = import(&api, google_auth(&live(&api, READONLY))).await;

    assert_eq!((made.status, &made.json()["id"]), (201, &id));
    assert_eq!(api.token("gmail").await.status, 200);
}

#[tokio::test]
async fn another_account_than_the_one_that_is_named_is_refused() {
    let api = TestApi::start().await;
    let scope = format!("{READONLY} openid email");
    let mut file = google_auth(&live(&api, &scope));

    file["account"] = json!("bob@example.test");
    let refused = import(&api, file.clone()).await;
    file["account"] = json!("front desk");
    let named = import(&api, file).await;

    assert_eq!(refused.json()["errors"][0]["field"], "account");
    assert_eq!(named.json()["account"], "front desk");
}

#[tokio::test]
async fn a_key_needs_write_in_the_workspace_that_the_row_names() {
    let api = TestApi::start().await;
    let mut file = google_auth(&live(&api, READONLY));
    file["provider"] = json!("gmail");
    let post = |key: &'static str, body: &Value| {
        let request = api
            .request("POST", "/api/connections")
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        send(request.body(body.to_string()))
    };

    assert_eq!(post(READ_KEY, &file).await.code(), "forbidden");
    assert_eq!(post(ACME_KEY, &file).await.code(), "forbidden");
    assert_eq!(post("gk_wrong", &file).await.code(), "unauthorized");
    let row = json!({"provider": "gmail", "workspace_id": "acme", "actor_id": "1",
                     "token_data": file});
    assert_eq!(post(KEY, &row).await.json()["workspace"], "acme");
}

#[tokio::test]
async fn members_that_are_wrong_are_named() {
    let api = TestApi::start().await;
    let file = google_auth(&live(&api, READONLY));
    for (field, value) in [
        ("provider", json!(7)),
        ("provider", json!("")),
        ("verify", json!("yes")),
        ("replace", json!(1)),
        ("account", json!("a\nb")),
        ("workspace", json!("x".repeat(256))),
        ("expiry", json!("tomorrow")),
        ("scopes", json!({})),
        ("refresh_token", json!("a\r\nb")),
    ] {
        let mut body = file.clone();
        body[field] = value.clone();

        let refused = import(&api, body).await;

        assert_eq!(refused.status, 400, "{field}: {value}: {}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
    let unknown = import(&api, json!({"provider": "nobody", "refresh_token": "r"})).await;
    assert_eq!(unknown.code(), "unknown_provider");
}

#[tokio::test]
async fn bodies_that_are_no_json_of_credentials_are_refused() {
    let api = TestApi::start().await;
    let post = |kind: &'static str, body: String| {
        let request = api
            .request("POST", "/api/connections")
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", kind);
        send(request.body(body))
    };
    let json = "application/json";
    let twice = r#"{"provider":"gmail","provider":"outlook","refresh_token":"r"}"#;

    assert_eq!(
        post(json, "{".to_owned()).await.json()["errors"][0]["field"],
        "body"
    );
    assert_eq!(post(json, "[]".to_owned()).await.status, 400);
    assert_eq!(post(json, twice.to_owned()).await.status, 400);
    assert_eq!(post("text/plain", "{}".to_owned()).await.status, 415);
    assert_eq!(
        post(json, format!("\"{}\"", "x".repeat(70_000)))
            .await
            .status,
        413
    );
}

#[tokio::test]
async fn fernet_columns_open_under_the_configured_key() {
    let api = TestApi::start().await;
    let live = live(&api, READONLY);
    let row = json!({
        "workspace_id": "default", "actor_id": "default", "scope": READONLY, "account": ALICE,
        "access_token_encrypted": fernet(ENCRYPTION_KEY, &live.access),
        "refresh_token_encrypted": fernet(ENCRYPTION_KEY, &live.refresh),
        "expires_at": "2026-01-02T03:04:05",
    });
    let mut foreign = row.clone();
    foreign["refresh_token_encrypted"] = json!(fernet(
        "cXVpZXQtbW91bnRhaW4td2FsbnV0LWtpdGUtODghISE=",
        &live.refresh
    ));

    let refused = import(&api, foreign).await;
    let made = import(&api, row).await;

    assert_eq!(
        refused.json()["errors"][0]["field"],
        "refresh_token_encrypted"
    );
    assert!(refused.text.contains("OAUTH_ENCRYPTION_KEY"));
    assert_eq!(made.status, 201, "{}", made.text);
    let stored: Vec<u8> = database::query(
        &api.database_url,
        "select token_data from oauth_tokens",
        &[],
    )
    .await[0]
        .get(0);
    assert!(!stored.starts_with(b"gAAAA"));
    assert_eq!(api.token("gmail").await.status, 200);
}

/// What Python's `cryptography` writes.
pub fn fernet(key: &str, plaintext: &str) -> String {
    use aws_lc_rs::cipher::{AES_128, PaddedBlockEncryptingKey, UnboundCipherKey};
    use aws_lc_rs::hmac;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    let key = STANDARD.decode(key).expect("key");
    let unbound = UnboundCipherKey::new(&AES_128, &key[16..]).expect("16 bytes");
    let encrypting = PaddedBlockEncryptingKey::cbc_pkcs7(unbound).expect("key");
    let mut body = plaintext.as_bytes().to_vec();
    let context = encrypting.encrypt(&mut body).expect("encrypts");
    let iv: &[u8] = (&context).try_into().expect("an IV");

    let mut message = vec![0x80];
    message.extend_from_slice(&1_767_323_045_u64.to_be_bytes());
    message.extend_from_slice(iv);
    message.extend_from_slice(&body);
    let signing = hmac::Key::new(hmac::HMAC_SHA256, &key[..16]);
    message.extend_from_slice(hmac::sign(&signing, &message).as_ref());
    URL_SAFE.encode(message)
}
