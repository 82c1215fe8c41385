//! Revocation and its reach.

use grantkeep_demo_provider::client::DEMO_CLIENT_ID;

use crate::harness::{Answer, Demo, READ};

async fn revoke(demo: &Demo, token: &str) -> Answer {
    Answer::of(
        demo.http
            .post(demo.url("/revoke"))
            .form(&[("token", token)]),
    )
    .await
}

async fn lives(demo: &Demo, token: &str) -> bool {
    demo.get_as(token, "/api/whoami").await.status == 200
}

#[tokio::test]
async fn revoking_ends_all_that_the_account_granted_to_the_project() {
    let demo = Demo::start().await;
    let issue = |account, client| {
        demo.provider
            .issue(account, client, READ)
            .expect("a known account")
    };
    let revoked = issue("alice@example.test", DEMO_CLIENT_ID);
    let sibling = issue("alice@example.test", "000000000000-calendar");
    let other_project = issue("alice@example.test", "111111111111-demo");
    let other_account = issue("bob@example.test", DEMO_CLIENT_ID);

    assert_eq!(revoke(&demo, &revoked.refresh_token).await.status, 200);

    assert!(!lives(&demo, &revoked.access_token).await);
    assert!(!lives(&demo, &sibling.access_token).await);
    assert!(lives(&demo, &other_project.access_token).await);
    assert!(lives(&demo, &other_account.access_token).await);
    assert_eq!(
        demo.refresh(&revoked.refresh_token).await.refusal().1,
        "invalid_grant"
    );
}

#[tokio::test]
async fn an_access_token_revokes_too_and_may_be_in_the_query() {
    let demo = Demo::start().await;
    let issued = demo.issued();

    let http = demo
        .http
        .post(demo.url("/revoke"))
        .query(&[("token", &issued.access_token)]);

    assert_eq!(Answer::of(http).await.status, 200);
    assert_eq!(demo.refresh(&issued.refresh_token).await.status, 400);
}

#[tokio::test]
async fn an_unknown_token_is_a_success_and_a_missing_one_is_not() {
    let demo = Demo::start().await;

    assert_eq!(revoke(&demo, "1//0unknown").await.status, 200);
    assert_eq!(
        revoke(&demo, "").await.refusal(),
        (400, "invalid_request".to_owned())
    );
}

#[tokio::test]
async fn revocation_can_fail_without_effect() {
    let demo = Demo::start().await;
    let issued = demo.issued();

    for (status, error) in [(400, "invalid_token"), (503, "temporarily_unavailable")] {
        demo.provider
            .update(|knobs| knobs.revoke_status = Some(status));
        assert_eq!(
            revoke(&demo, &issued.refresh_token).await.refusal(),
            (status, error.to_owned())
        );
    }
    assert!(lives(&demo, &issued.access_token).await);
}
