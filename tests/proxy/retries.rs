//! PX-05: a 401 of the API replaces the token once, and the call is made again where it may be.

use grantkeep_tests::api::KEY;
use grantkeep_tests::http::send;
use tokio::task::JoinSet;

use crate::upstream::{call, stored_token, with_upstream};

#[tokio::test]
async fn px05_a_call_that_may_be_repeated_is_made_again_with_a_new_token() {
    for (method, body) in [
        ("GET", ""),
        ("DELETE", ""),
        ("PUT", "all of it"),
        ("POST", ""),
    ] {
        let (api, upstream) = with_upstream().await;
        api.connect("gmail").await;
        let before = stored_token(&api).await;
        upstream.refuse_next(1);

        let answer = call(&api, method, "things", body).await;

        assert_eq!(answer.status, 200, "{method}");
        let asked = upstream.asked();
        assert_eq!(asked.len(), 2, "{method}");
        assert_eq!(
            (asked[0].bearer(), &asked[0].body),
            (before.as_str(), &asked[1].body)
        );
        assert_eq!(asked[1].bearer(), stored_token(&api).await);
        assert_ne!(asked[1].bearer(), before);
    }
}

#[tokio::test]
async fn px05_a_call_that_may_not_be_repeated_gets_its_401_and_the_next_one_works() {
    let (api, upstream) = with_upstream().await;
    api.connect("gmail").await;
    let before = stored_token(&api).await;
    upstream.refuse_next(1);

    let refused = call(&api, "POST", "things", "pay").await;

    assert_eq!((refused.status, refused.text.as_str()), (401, "no"));
    assert_eq!(refused.header("x-grantkeep-error"), "");
    assert_eq!(upstream.asked().len(), 1);
    assert_ne!(stored_token(&api).await, before);
    assert_eq!(call(&api, "POST", "things", "pay").await.status, 200);
}

#[tokio::test]
async fn px05_a_second_401_comes_back_after_one_refresh() {
    let (api, upstream) = with_upstream().await;
    api.connect("gmail").await;
    upstream.refuse_next(10);

    let first = call(&api, "GET", "things", "").await;
    let second = call(&api, "GET", "things", "").await;

    assert_eq!((first.status, second.status), (401, 401));
    assert_eq!(api.provider.refresh_requests(), 1);
    // Two tokens for the first call; the second has no newer one to try.
    assert_eq!(upstream.asked().len(), 3);
}

#[tokio::test]
async fn px05_many_calls_at_once_cause_one_refresh() {
    let (api, upstream) = with_upstream().await;
    api.connect("gmail").await;
    upstream.refuse_next(8);

    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let request = api
            .request("GET", "/api/proxy/gmail/things")
            .bearer_auth(KEY);
        calls.spawn(send(request));
    }
    let answers = calls.join_all().await;

    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn a_grant_that_died_is_said_instead_of_the_apis_401() {
    let (api, upstream) = with_upstream().await;
    api.connect("gmail").await;
    api.provider
        .update(|knobs| knobs.token_error = Some("invalid_grant".to_owned()));
    upstream.refuse_next(1);

    let answer = call(&api, "GET", "things", "").await;

    assert_eq!(
        (answer.status, answer.code()),
        (409, "reauthorization_required".to_owned())
    );
    assert_eq!(
        answer.header("x-grantkeep-error"),
        "reauthorization_required"
    );
}
