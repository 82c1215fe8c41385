//! Who may call, and with whose connection.

use grantkeep_tests::api::{ACME_KEY, KEY, READ_KEY, hash};
use grantkeep_tests::http::send;
use grantkeep_tests::{Consent, Reply, TestApi};

use crate::upstream::{call, with, with_upstream};

async fn call_as(api: &TestApi, key: &str, headers: &[(&str, &str)]) -> Reply {
    let request = api
        .request("GET", "/api/proxy/gmail/things")
        .bearer_auth(key);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    send(request).await
}

fn problem(reply: &Reply) -> (u16, String) {
    assert_eq!(reply.header("x-grantkeep-error"), reply.code());
    (reply.status, reply.code())
}

#[tokio::test]
async fn only_a_key_that_may_proxy_in_the_workspace_calls() {
    let proxy = "gk_test_acme_proxy";
    let keys = format!(
        "proxy:acme:proxy:{},reader:*:read:{}",
        hash(proxy),
        hash(READ_KEY)
    );
    let (api, upstream) = with(TestApi::builder().variable("SERVICE_KEYS", &keys)).await;
    api.connect("gmail").await;

    assert_eq!(
        problem(&call_as(&api, READ_KEY, &[]).await),
        (403, "forbidden".to_owned())
    );
    assert_eq!(
        problem(&call_as(&api, proxy, &[]).await),
        (403, "forbidden".to_owned())
    );
    let acme = [("x-grantkeep-workspace", "acme")];
    assert_eq!(
        problem(&call_as(&api, proxy, &acme).await),
        (404, "not_connected".to_owned())
    );
    assert_eq!(
        problem(&call_as(&api, ACME_KEY, &acme).await),
        (401, "unauthorized".to_owned())
    );
    let nobody = send(api.request("GET", "/api/proxy/gmail/things")).await;
    assert_eq!(problem(&nobody), (401, "unauthorized".to_owned()));
    assert_eq!(upstream.asked().len(), 0);
}

#[tokio::test]
async fn the_headers_choose_the_connection() {
    let (api, upstream) = with_upstream().await;
    api.connect("gmail").await;
    api.connect_with("gmail", &Consent::of("bob@example.test"))
        .await;

    let ambiguous = call_as(&api, KEY, &[]).await;
    assert_eq!(problem(&ambiguous), (409, "ambiguous_account".to_owned()));
    let bob = call_as(&api, KEY, &[("x-grantkeep-account", "bob@example.test")]).await;
    assert_eq!(bob.status, 200, "{}", bob.text);
    let path = "/api/token?provider=gmail&account=bob@example.test";
    let token = api.get(path).await.json()["access_token"].clone();
    assert_eq!(upstream.asked()[0].bearer(), token);

    let other = call_as(&api, KEY, &[("x-grantkeep-actor", "some\u{f6}ne")]).await;
    assert_eq!(problem(&other), (404, "not_connected".to_owned()));
    let twice = [
        ("x-grantkeep-actor", "default"),
        ("x-grantkeep-actor", "other"),
    ];
    assert_eq!(
        problem(&call_as(&api, KEY, &twice).await),
        (400, "invalid_request".to_owned())
    );
}

#[tokio::test]
async fn scopes_that_the_call_needs_are_checked_before_it_is_made() {
    let (api, upstream) = with_upstream().await;
    api.connect("gmail").await;
    let send = "https://www.googleapis.com/auth/gmail.send";

    let missing = call_as(&api, KEY, &[("x-grantkeep-scope", send)]).await;

    assert_eq!(problem(&missing), (403, "insufficient_scope".to_owned()));
    assert_eq!(missing.json()["missing_scopes"][0], send);
    assert_eq!(upstream.asked().len(), 0);
}

#[tokio::test]
async fn an_unknown_provider_and_an_api_that_does_not_answer_are_problems_of_ours() {
    let (api, _) = with_upstream().await;
    let unknown = api.get("/api/proxy/nothing/a").await;
    assert_eq!(problem(&unknown), (404, "unknown_provider".to_owned()));

    let api = TestApi::builder()
        .provider(
            "gmail",
            serde_json::json!({"api_base": "http://127.0.0.1:1"}),
        )
        .start()
        .await;
    api.connect("gmail").await;
    let down = call(&api, "GET", "a", "").await;
    assert_eq!(problem(&down), (503, "provider_unavailable".to_owned()));
    assert_ne!(down.header("retry-after"), "");
}
