//! The APIs behind the tokens.

use grantkeep_demo_provider::ACCOUNTS;
use grantkeep_demo_provider::client::DEMO_CLIENT_ID;

use crate::harness::{CALENDAR, Demo, READ, SEND};

const PROFILE: &str = "/gmail/v1/users/me/profile";
const MESSAGES: &str = "/gmail/v1/users/me/messages";
const EVENTS: &str = "/calendar/v3/calendars/primary/events";
const METADATA: &str = "https://www.googleapis.com/auth/gmail.metadata";

fn token(demo: &Demo, scope: &str) -> String {
    let issued = demo
        .provider
        .issue("bob@example.test", DEMO_CLIENT_ID, scope);
    issued.expect("bob exists").access_token
}

#[tokio::test]
async fn fitting_scopes_open_mail_and_calendar() {
    let demo = Demo::start().await;
    let (mail, calendar) = (token(&demo, READ), token(&demo, CALENDAR));

    let profile = demo.get_as(&mail, PROFILE).await;

    assert_eq!(
        (profile.status, &profile.json()["emailAddress"]),
        (200, &"bob@example.test".into())
    );
    assert_eq!(
        demo.get_as(&mail, &format!("{MESSAGES}?q=from:a"))
            .await
            .status,
        200
    );
    assert_eq!(
        demo.get_as(&calendar, EVENTS).await.json()["kind"],
        "calendar#events"
    );
}

#[tokio::test]
async fn other_scopes_are_403_in_googles_shape() {
    let demo = Demo::start().await;
    let (send, mail) = (token(&demo, SEND), token(&demo, READ));

    for (token, path) in [(&send, PROFILE), (&send, MESSAGES), (&mail, EVENTS)] {
        let answer = demo.get_as(token, path).await;
        let error = &answer.json()["error"];
        assert_eq!(answer.status, 403);
        assert_eq!(
            (&error["code"], &error["status"]),
            (&403.into(), &"PERMISSION_DENIED".into())
        );
        assert_eq!(error["errors"][0]["reason"], "insufficientPermissions");
        assert!(answer.headers["www-authenticate"].contains("insufficient_scope"));
    }
}

#[tokio::test]
async fn dead_unknown_and_missing_tokens_are_401_in_googles_shape() {
    let demo = Demo::start().await;
    let expired = token(&demo, READ);
    demo.provider.expire_access_tokens();

    for path in [PROFILE, MESSAGES, EVENTS, "/userinfo", "/api/whoami"] {
        let answers = [
            demo.get(path).await,
            demo.get_as("ya29.x", path).await,
            demo.get_as(&expired, path).await,
        ];
        for answer in answers {
            let error = &answer.json()["error"];
            assert_eq!(
                (answer.status, &error["status"]),
                (401, &"UNAUTHENTICATED".into())
            );
            assert_eq!(error["errors"][0]["reason"], "authError");
        }
    }
}

#[tokio::test]
async fn metadata_alone_cannot_search() {
    let demo = Demo::start().await;
    let token = token(&demo, METADATA);

    assert_eq!(demo.get_as(&token, MESSAGES).await.status, 200);
    let searched = demo
        .get_as(&token, &format!("{MESSAGES}?maxResults=1&q=x"))
        .await;
    assert_eq!(searched.status, 403);
    assert!(
        searched
            .text
            .contains("Metadata scope does not support 'q' parameter")
    );
}

#[tokio::test]
async fn userinfo_tells_what_was_granted() {
    let demo = Demo::start().await;

    let email = demo
        .get_as(&token(&demo, "email"), "/userinfo")
        .await
        .json();
    let profile = demo
        .get_as(&token(&demo, "openid profile"), "/userinfo")
        .await
        .json();

    assert_eq!(
        (&email["sub"], &email["email"]),
        (&ACCOUNTS[1].sub.into(), &ACCOUNTS[1].email.into())
    );
    assert!(email.get("name").is_none());
    assert_eq!(profile["name"], ACCOUNTS[1].name);
    assert!(profile.get("email").is_none());
}

#[tokio::test]
async fn userinfo_can_fail() {
    let demo = Demo::with(|knobs| knobs.userinfo_status = Some(503)).await;

    assert_eq!(
        demo.get_as(&token(&demo, "email"), "/userinfo")
            .await
            .status,
        503
    );
}

#[tokio::test]
async fn whoami_names_the_account_and_the_scopes() {
    let demo = Demo::start().await;
    let token = token(&demo, &format!("{READ} {SEND}"));

    let body = demo.get_as(&token, "/api/whoami").await.json();

    assert_eq!(body["account"], "bob@example.test");
    assert_eq!(body["scope"], format!("{READ} {SEND}"));
    assert_eq!(demo.provider.requests()[0].bearer, Some(token));
}
