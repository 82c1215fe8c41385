//! Who somebody is, and what they have after signing in.

use grantkeep_demo_provider::IdTokenFault;
use grantkeep_tests::{Consent, TestApi};
use serde_json::json;

use crate::page::{
    CALENDAR, READONLY, code, code_of, cookie, count, get_with, post, sign_in, usual,
};

#[tokio::test]
async fn a_code_makes_a_user_a_connection_and_a_session() {
    let api = TestApi::start().await;

    let signed_in = sign_in(&api, "alice@example.test").await;

    assert_eq!(signed_in.status, 200, "{}", signed_in.text);
    assert_eq!(signed_in.header("cache-control"), "no-store");
    let body = signed_in.json();
    assert_eq!(body["user"]["email"], "alice@example.test");
    let connection = &body["connection"];
    assert_eq!(connection["actor"], body["user"]["id"]);
    assert_eq!(
        (
            &connection["provider"],
            &connection["workspace"],
            &connection["status"]
        ),
        (&json!("gmail"), &json!("default"), &json!("active"))
    );
    assert_eq!(connection["missing_scopes"], json!([]));

    let listed = get_with(&api, "/api/connections", &cookie(&signed_in)).await;
    assert_eq!(listed.json()["connections"], json!([connection]));
    let actor = body["user"]["id"].as_str().expect("an id");
    let token = api
        .get(&format!("/api/token?provider=gmail&actor={actor}"))
        .await;
    assert_eq!(token.status, 200, "{}", token.text);
    let exchange = api
        .provider
        .requests()
        .into_iter()
        .find(|request| request.endpoint == "/token");
    let exchange = exchange.expect("an exchange");
    assert_eq!(exchange.parameter("redirect_uri"), Some("postmessage"));
    assert!(!exchange.has_code_verifier);
}

#[tokio::test]
async fn id03_the_same_account_is_the_same_user_and_another_one_is_not() {
    let api = TestApi::start().await;

    let first = sign_in(&api, "alice@example.test").await.json();
    let again = sign_in(&api, "alice@example.test").await.json();
    let other = sign_in(&api, "bob@example.test").await.json();

    assert_eq!(first["user"], again["user"]);
    assert_eq!(first["connection"]["id"], again["connection"]["id"]);
    assert_ne!(first["user"]["id"], other["user"]["id"]);
    assert_eq!(count(&api, "users").await, 2);
    assert_eq!(count(&api, "oauth_tokens").await, 2);
}

#[tokio::test]
async fn two_sign_ins_of_one_account_at_once_make_one_user() {
    let api = TestApi::start().await;
    let (one, two) = (
        json!({"code": code_of(&api, "alice@example.test").await}),
        json!({"code": code_of(&api, "alice@example.test").await}),
    );

    let (first, second) = tokio::join!(post(&api, &one), post(&api, &two));

    assert_eq!(
        (first.status, second.status),
        (200, 200),
        "{} {}",
        first.text,
        second.text
    );
    assert_eq!(first.json()["user"], second.json()["user"]);
    assert_eq!(
        (
            count(&api, "users").await,
            count(&api, "oauth_tokens").await
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn id03_an_address_that_is_not_verified_is_not_told() {
    let api = TestApi::start().await;
    api.provider
        .update(|knobs| knobs.id_token_fault = Some(IdTokenFault::EmailUnverified));

    let signed_in = sign_in(&api, "alice@example.test").await;

    assert_eq!(signed_in.status, 200, "{}", signed_in.text);
    assert_eq!(signed_in.json()["user"]["email"], json!(null));
    assert!(
        !signed_in.text.contains("alice@example.test"),
        "{}",
        signed_in.text
    );
}

#[tokio::test]
async fn what_the_user_left_out_is_missing() {
    let api = TestApi::start().await;
    let code = code(&api, &usual(), &Consent::without(READONLY)).await;

    let signed_in = post(&api, &json!({"code": code, "scope": usual()})).await;

    assert_eq!(signed_in.status, 200, "{}", signed_in.text);
    let connection = &signed_in.json()["connection"];
    assert_eq!(connection["missing_scopes"], json!([READONLY]));
    let granted = connection["scopes"].as_array().expect("scopes");
    assert!(!granted.contains(&json!(READONLY)));
}

#[tokio::test]
async fn another_provider_of_the_family_can_be_named_and_no_other() {
    let api = TestApi::start().await;
    let scope = format!("openid email {CALENDAR}");
    let consent = Consent::default();
    let body = json!({"code": code(&api, &scope, &consent).await, "provider": "google_calendar"});

    let calendar = post(&api, &body).await;
    assert_eq!(
        calendar.json()["connection"]["provider"],
        "google_calendar",
        "{}",
        calendar.text
    );

    for (provider, expected) in [
        ("outlook", (400, "invalid_request")),
        ("nothing", (404, "unknown_provider")),
    ] {
        let code = code_of(&api, "alice@example.test").await;
        let refused = post(&api, &json!({"code": code, "provider": provider})).await;
        assert_eq!((refused.status, refused.code().as_str()), expected);
    }
}

#[tokio::test]
async fn a_reconnect_by_popup_keeps_the_refresh_token_that_is_there() {
    let api = TestApi::start().await;
    let first = sign_in(&api, "alice@example.test").await.json();
    api.provider.update(|knobs| knobs.omit_refresh_token = true);
    sign_in(&api, "alice@example.test").await;
    api.provider
        .update(|knobs| knobs.omit_refresh_token = false);

    api.set_expiry("gmail", -60).await;
    let actor = first["user"]["id"].as_str().expect("an id");
    let token = api
        .get(&format!("/api/token?provider=gmail&actor={actor}"))
        .await;

    assert_eq!(token.status, 200, "{}", token.text);
    assert_eq!(api.provider.refresh_requests(), 1);
}
