//! The mail API fails: what the caller is told, and that nothing is sent twice.

use grantkeep_demo_provider::ApiFault;
use grantkeep_tests::{Reply, TestApi};
use serde_json::{Value, json};

use crate::support::*;

async fn with_fault(api: &TestApi, fault: ApiFault, over: Value) -> Reply {
    api.provider.update(|knobs| {
        knobs.api_fault = Some(fault);
        knobs.api_fail_next_n = Some(1);
        knobs.api_retry_after = Some("17".to_owned());
    });
    let reply = send(api, &message(over)).await;
    api.provider.update(|knobs| knobs.api_fault = None);
    reply
}

#[tokio::test]
async fn a_limit_says_when_to_come_back_and_the_key_can_be_used_again() {
    let api = connected().await;

    for (key, fault) in [
        ("a", ApiFault::TooManyRequests),
        ("b", ApiFault::RateLimitExceeded),
        ("c", ApiFault::UserRateLimitExceeded),
    ] {
        let reply = with_fault(&api, fault, json!({"idempotency_key": key})).await;

        assert_eq!(
            (reply.status, reply.code().as_str()),
            (503, "provider_unavailable")
        );
        assert_eq!(reply.header("retry-after"), "17");
        assert!(reply.json().get("outcome").is_none());
        let again = send(&api, &message(json!({"idempotency_key": key}))).await;
        assert_eq!(again.status, 200, "{}", again.text);
    }
    assert_eq!(bobs(&api).len(), 3);
}

#[tokio::test]
async fn a_ban_is_no_limit() {
    let api = connected().await;

    let reply = with_fault(&api, ApiFault::DomainPolicy, json!({})).await;

    assert_eq!(
        (reply.status, reply.code().as_str()),
        (502, "provider_error")
    );
    assert_eq!(reply.json()["provider_status"], 403);
    assert!(reply.text.contains("disabled Gmail"), "{}", reply.text);
}

#[tokio::test]
async fn an_answer_that_is_missing_is_said_to_be_unknown() {
    let api = connected().await;

    for fault in [
        ApiFault::InternalError,
        ApiFault::Unavailable,
        ApiFault::LostAnswer,
    ] {
        let reply = with_fault(&api, fault, json!({})).await;

        assert_eq!(
            (reply.status, reply.code().as_str()),
            (503, "provider_unavailable")
        );
        assert_eq!(reply.json()["outcome"], "unknown", "{fault:?}");
        assert!(!reply.header("retry-after").is_empty());
    }
    assert_eq!(
        (sendings(&api), bobs(&api).len()),
        (3, 1),
        "each was tried once"
    );
}

#[tokio::test]
async fn an_api_that_cannot_be_reached_sent_nothing() {
    let api = TestApi::builder()
        .provider("gmail", json!({"api_base": "http://127.0.0.1:9"}))
        .start()
        .await;
    connect(&api, &Default::default()).await;

    let reply = send(&api, &message(json!({"idempotency_key": "k"}))).await;

    assert_eq!(
        (reply.status, reply.code().as_str()),
        (503, "provider_unavailable")
    );
    assert!(reply.text.contains("nothing was sent"), "{}", reply.text);
    let kept = api.text("select count(*)::text from sent_messages").await;
    assert_eq!(kept.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_dead_grant_is_said_to_be_dead() {
    let api = connected().await;
    api.provider.kill_grants();

    let reply = send(&api, &message(json!({}))).await;

    assert_eq!(
        (reply.status, reply.code().as_str()),
        (409, "reauthorization_required")
    );
    assert!(bobs(&api).is_empty());
}
