//! Code exchange: PKCE, single use, what is granted.

use crate::harness::{
    CALLBACK, Demo, READ, SEND, VERIFIER, request, request_with, request_without,
};

#[tokio::test]
async fn a_code_with_its_verifier_becomes_a_token_set() {
    let demo = Demo::start().await;

    let answer = demo.exchanged().await;

    let body = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(body["access_token"].as_str().unwrap().starts_with("ya29."));
    assert!(body["refresh_token"].as_str().unwrap().starts_with("1//0"));
    assert_eq!(
        (&body["expires_in"], &body["token_type"]),
        (&3599.into(), &"Bearer".into())
    );
    assert_eq!(
        body["scope"],
        format!("openid https://www.googleapis.com/auth/userinfo.email {READ} {SEND}")
    );
}

#[tokio::test]
async fn a_wrong_or_missing_verifier_is_invalid_grant_and_uses_up_the_code() {
    let demo = Demo::start().await;

    for verifier in [
        Some("wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong"),
        None,
    ] {
        let code = demo.code(&request(), &[READ]).await;
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", CALLBACK),
        ];
        pairs.extend(verifier.map(|verifier| ("code_verifier", verifier)));

        assert_eq!(
            demo.token(&pairs).await.refusal(),
            (400, "invalid_grant".to_owned())
        );
        assert_eq!(demo.exchange(&code).await.refusal().1, "invalid_grant");
    }
}

#[tokio::test]
async fn a_verifier_without_a_challenge_is_refused() {
    let demo = Demo::start().await;
    let code = demo.code(&request_without("code_challenge"), &[READ]).await;

    assert_eq!(demo.exchange(&code).await.refusal().1, "invalid_grant");
}

#[tokio::test]
async fn a_code_works_once() {
    let demo = Demo::start().await;
    let code = demo.code(&request(), &[READ]).await;

    assert_eq!(demo.exchange(&code).await.status, 200);
    assert_eq!(
        demo.exchange(&code).await.refusal(),
        (400, "invalid_grant".to_owned())
    );
}

#[tokio::test]
async fn another_redirect_uri_is_refused() {
    let demo = Demo::start().await;
    let code = demo.code(&request(), &[READ]).await;

    let answer = demo
        .token(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &format!("{CALLBACK}/")),
            ("code_verifier", VERIFIER),
        ])
        .await;

    assert_eq!(answer.refusal(), (400, "redirect_uri_mismatch".to_owned()));
}

#[tokio::test]
async fn only_ticked_scopes_are_granted_and_sign_in_always() {
    let demo = Demo::start().await;
    let code = demo
        .code(&request(), &[SEND, "https://mail.google.com/"])
        .await;

    let scope = demo.exchange(&code).await.json()["scope"]
        .as_str()
        .unwrap()
        .to_owned();

    assert_eq!(
        scope,
        format!("openid https://www.googleapis.com/auth/userinfo.email {SEND}")
    );
}

#[tokio::test]
async fn openid_comes_with_the_address_and_the_profile() {
    let demo = Demo::start().await;
    let code = demo
        .code(&request_with("scope", "email profile"), &[])
        .await;

    assert_eq!(
        demo.exchange(&code).await.json()["scope"],
        "https://www.googleapis.com/auth/userinfo.email \
         https://www.googleapis.com/auth/userinfo.profile openid"
    );
}

#[tokio::test]
async fn included_scopes_are_those_of_the_project() {
    let demo = Demo::start().await;
    demo.exchanged().await;
    let mut request = request_with("scope", crate::harness::CALENDAR);
    request.push(("include_granted_scopes", "true".to_owned()));

    let code = demo.code(&request, &[crate::harness::CALENDAR]).await;
    let scope = demo.exchange(&code).await.json()["scope"]
        .as_str()
        .unwrap()
        .to_owned();

    assert!(scope.contains(crate::harness::CALENDAR) && scope.contains(READ));
}

#[tokio::test]
async fn a_refresh_token_can_be_withheld() {
    let demo = Demo::with(|knobs| knobs.omit_refresh_token = true).await;

    assert!(demo.exchanged().await.json().get("refresh_token").is_none());
}

#[tokio::test]
async fn with_offline_needs_consent_a_refresh_token_has_to_be_asked_for() {
    let demo = Demo::with(|knobs| knobs.offline_needs_consent = true).await;
    let mut asking = request_with("access_type", "offline");
    let code = demo.code(&asking, &[READ]).await;
    assert!(
        demo.exchange(&code)
            .await
            .json()
            .get("refresh_token")
            .is_none()
    );

    asking.push(("prompt", "select_account consent".to_owned()));
    let code = demo.code(&asking, &[READ]).await;
    assert!(
        demo.exchange(&code)
            .await
            .json()
            .get("refresh_token")
            .is_some()
    );
}

#[tokio::test]
async fn token_requests_are_recorded() {
    let demo = Demo::start().await;

    demo.exchanged().await;

    let recorded = demo.provider.requests().pop().unwrap();
    assert_eq!(recorded.endpoint, "/token");
    assert_eq!(recorded.grant_type.as_deref(), Some("authorization_code"));
    assert_eq!(
        recorded.content_type.as_deref(),
        Some("application/x-www-form-urlencoded")
    );
    assert!(recorded.has_code_verifier && recorded.has_redirect_uri);
    assert_eq!(recorded.scope, None);
    assert_eq!(
        (
            demo.provider.token_requests(),
            demo.provider.refresh_requests()
        ),
        (1, 0)
    );
    demo.provider.reset_counts();
    assert_eq!(demo.provider.token_requests(), 0);
}

#[tokio::test]
async fn offline_access_is_granted_without_a_tick() {
    let demo = Demo::start().await;
    let request = request_with("scope", "offline_access Mail.Read");

    let code = demo.code(&request, &[]).await;

    assert_eq!(demo.exchange(&code).await.json()["scope"], "offline_access");
}
