//! Refresh: what happens to the refresh token, the old access token and the scopes.

use std::time::Duration;

use grantkeep_demo_provider::RefreshTokens;

use crate::harness::{Demo, READ, SEND};

fn member(answer: &crate::harness::Answer, name: &str) -> String {
    answer.json()[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name}"))
        .to_owned()
}

async fn works(demo: &Demo, access_token: &str) -> bool {
    demo.get_as(access_token, "/api/whoami").await.status == 200
}

#[tokio::test]
async fn by_default_the_refresh_token_stays_and_is_not_sent_again() {
    let demo = Demo::start().await;
    let issued = demo.issued();

    for _ in 0..2 {
        let answer = demo.refresh(&issued.refresh_token).await;
        assert_eq!(answer.status, 200);
        assert!(answer.json().get("refresh_token").is_none());
        assert!(works(&demo, &member(&answer, "access_token")).await);
    }
    assert!(works(&demo, &issued.access_token).await);
    assert_eq!(demo.provider.refresh_requests(), 2);
}

#[tokio::test]
async fn rotation_sends_a_new_refresh_token_and_keeps_the_old_one() {
    let demo = Demo::with(|knobs| knobs.refresh_tokens = RefreshTokens::Rotate).await;
    let issued = demo.issued();

    let next = member(&demo.refresh(&issued.refresh_token).await, "refresh_token");

    assert_ne!(next, issued.refresh_token);
    assert_eq!(demo.refresh(&issued.refresh_token).await.status, 200);
    assert_eq!(demo.refresh(&next).await.status, 200);
}

#[tokio::test]
async fn reuse_of_a_single_use_refresh_token_kills_the_family() {
    let demo = Demo::with(|knobs| knobs.refresh_tokens = RefreshTokens::SingleUse).await;
    let issued = demo.issued();
    let first = demo.refresh(&issued.refresh_token).await;
    let next = member(&first, "refresh_token");

    let reused = demo.refresh(&issued.refresh_token).await;

    assert_eq!(reused.refusal(), (400, "invalid_grant".to_owned()));
    assert_eq!(demo.refresh(&next).await.refusal().1, "invalid_grant");
    assert!(!works(&demo, &member(&first, "access_token")).await);
}

#[tokio::test]
async fn families_do_not_die_together() {
    let demo = Demo::with(|knobs| knobs.refresh_tokens = RefreshTokens::SingleUse).await;
    let (one, other) = (demo.issued(), demo.issued());
    demo.refresh(&one.refresh_token).await;
    demo.refresh(&one.refresh_token).await;

    assert_eq!(demo.refresh(&other.refresh_token).await.status, 200);
}

#[tokio::test]
async fn within_the_leeway_a_used_refresh_token_works_again() {
    let demo = Demo::with(|knobs| {
        knobs.refresh_tokens = RefreshTokens::SingleUse;
        knobs.reuse_leeway_ms = 60_000;
    })
    .await;
    let issued = demo.issued();
    demo.refresh(&issued.refresh_token).await;

    assert_eq!(demo.refresh(&issued.refresh_token).await.status, 200);

    tokio::time::sleep(Duration::from_millis(5)).await;
    demo.provider.update(|knobs| knobs.reuse_leeway_ms = 1);
    assert_eq!(
        demo.refresh(&issued.refresh_token).await.refusal().1,
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_refresh_can_end_the_old_access_token() {
    let demo = Demo::with(|knobs| knobs.old_access_token_dies_on_refresh = true).await;
    let issued = demo.issued();
    let bystander = demo.issued();

    let answer = demo.refresh(&issued.refresh_token).await;

    assert!(!works(&demo, &issued.access_token).await);
    assert!(works(&demo, &member(&answer, "access_token")).await);
    assert!(works(&demo, &bystander.access_token).await);
}

#[tokio::test]
async fn a_refresh_can_grant_less() {
    let narrower = vec!["email".to_owned(), READ.to_owned()];
    let demo = Demo::with(|knobs| knobs.narrower_scope_on_refresh = Some(narrower)).await;

    let answer = demo.refresh(&demo.issued().refresh_token).await;

    let expected = format!("https://www.googleapis.com/auth/userinfo.email {READ}");
    assert_eq!(answer.json()["scope"], expected);
    let whoami = demo
        .get_as(&member(&answer, "access_token"), "/api/whoami")
        .await;
    assert_eq!(whoami.json()["scope"], expected);
}

#[tokio::test]
async fn a_refresh_may_ask_for_less_but_not_for_more() {
    let demo = Demo::with(|knobs| knobs.refresh_tokens = RefreshTokens::SingleUse).await;
    let issued = demo.issued();
    let asking = [
        ("grant_type", "refresh_token"),
        ("refresh_token", issued.refresh_token.as_str()),
    ];

    let more = demo
        .token(&[asking[0], asking[1], ("scope", "https://mail.google.com/")])
        .await;
    let less = demo.token(&[asking[0], asking[1], ("scope", SEND)]).await;

    assert_eq!(more.refusal(), (400, "invalid_scope".to_owned()));
    assert_eq!(
        less.json()["scope"],
        SEND,
        "the refusal did not use up the refresh token"
    );
    assert_eq!(demo.provider.requests()[1].scope.as_deref(), Some(SEND));
}

#[tokio::test]
async fn killed_grants_are_invalid_grant() {
    let demo = Demo::start().await;
    let issued = demo.issued();

    demo.provider.kill_grants();

    let answer = demo.refresh(&issued.refresh_token).await;
    assert_eq!(answer.refusal(), (400, "invalid_grant".to_owned()));
    assert_eq!(
        answer.json()["error_description"],
        "Token has been expired or revoked."
    );
    assert!(!works(&demo, &issued.access_token).await);
    assert_eq!(
        demo.refresh("1//0unknown").await.refusal().1,
        "invalid_grant"
    );
}

#[tokio::test]
async fn one_account_can_lose_its_grants_alone() {
    let demo = Demo::start().await;
    let issued = demo.issued();

    demo.provider.kill_grants_of("bob@example.test");
    assert_eq!(demo.refresh(&issued.refresh_token).await.status, 200);

    demo.provider.kill_grants_of("alice@example.test");
    assert_eq!(demo.refresh(&issued.refresh_token).await.status, 400);
}

#[tokio::test]
async fn expired_access_tokens_can_be_refreshed() {
    let demo = Demo::start().await;
    let issued = demo.issued();

    demo.provider.expire_access_tokens();

    assert!(!works(&demo, &issued.access_token).await);
    assert_eq!(demo.refresh(&issued.refresh_token).await.status, 200);
}

#[tokio::test]
async fn access_tokens_live_as_long_as_the_knob_says() {
    let demo = Demo::with(|knobs| knobs.access_token_lifetime_s = 0).await;

    let answer = demo.refresh(&demo.issued().refresh_token).await;

    assert_eq!(answer.json()["expires_in"], 0);
    assert!(!works(&demo, &member(&answer, "access_token")).await);
}
