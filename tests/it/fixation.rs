//! Somebody is lured into giving their account to somebody else's actor: it never works.

use grantkeep_tests::{Consent, TestApi};

use crate::support::{authorize_as, count, problem, text};

#[tokio::test]
async fn st10_a_provider_address_sent_to_a_victim_connects_nothing() {
    let api = TestApi::start().await;
    let mut attacker = api.visitor();
    let begun = attacker
        .get(&authorize_as("gmail", "default", "mallory"))
        .await;

    let mut victim = api.visitor();
    let callback = victim
        .consent(begun.header("location"), &Consent::default())
        .await;
    let reply = victim.get(&callback).await;

    assert_eq!(problem(&reply), (400, "invalid_state".to_owned()));
    assert_eq!(count(&api, "oauth_tokens").await, "0");
}

#[tokio::test]
async fn st10_a_link_sent_to_a_victim_gives_no_token_before_the_application_confirms() {
    let api = TestApi::start().await;
    let ask = serde_json::json!({"provider": "gmail", "actor": "mallory", "return_to": "/x"});
    let link = api.send_json("POST", "/api/connect-links", &ask).await;
    let url = text(&link.json()["url"]);

    let done = api.visitor().connect(&url, &Consent::default()).await;
    let read = api.get("/api/token?provider=gmail&actor=mallory").await;

    assert_eq!(
        done.location_parameter("connection").as_deref(),
        Some("pending")
    );
    assert_eq!(problem(&read), (404, "not_connected".to_owned()));
}

#[tokio::test]
async fn st10_a_session_in_a_link_does_not_collect_the_account_of_who_is_signed_in() {
    let api = TestApi::start().await;
    let mut victim = api.visitor();
    let own = grantkeep_tests::api::session("default", "victim");
    victim.get(&format!("/connect?session={own}")).await;

    let lured = victim
        .get(&authorize_as("gmail", "default", "mallory"))
        .await;

    assert_eq!(problem(&lured), (403, "forbidden".to_owned()));
}
