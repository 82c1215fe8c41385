//! PX-01, PX-02, PX-03: the provider's own hosts and nothing else.

use grantkeep_tests::TestApi;
use grantkeep_tests::api::KEY;
use grantkeep_tests::http::send;
use serde_json::json;

use crate::upstream::{call, with_upstream};
use crate::wire;

/// Nobody is connected: an answer other than `not_connected` came before a token was looked for.
#[tokio::test]
async fn px01_a_path_that_could_lead_elsewhere_is_refused_before_a_token_is_read() {
    let (api, upstream) = with_upstream().await;
    for path in [
        "/evil.test/x",
        "//evil.test",
        "@evil.test/x",
        "user:pass@evil.test/",
        "\\evil.test",
        "..",
        "../../secret",
        "a/../../secret",
        "..%2fsecret",
        "%2e%2e/secret",
        "%2e%2e%2fsecret",
        "%252e%252e%252fsecret",
        "https://evil.test/",
        "https:%2f%2fevil.test/",
        "http:/evil.test",
        "a%00b",
        "a%0d%0ahost:%20evil.test",
        ":8080/x",
        "127.0.0.1:1/x",
        "a//b",
        "%5c%5cevil.test",
        "%40evil.test",
    ] {
        let target = format!("/api/proxy/gmail/{path}");
        let (status, body) = wire::get(&api.origin, &target).await;

        assert_eq!(status, 400, "{path}: {body}");
        assert!(body.contains("\"invalid_request\""), "{path}: {body}");
    }
    let (status, body) = wire::get(&api.origin, "/api/proxy/gmail/a").await;
    assert_eq!(status, 404, "{body}");
    assert!(body.contains("\"not_connected\""), "{body}");
    assert_eq!(upstream.asked().len(), 0);
}

#[tokio::test]
async fn px01_paths_and_queries_arrive_as_they_were_sent_below_the_base() {
    let (api, upstream) = with_upstream().await;
    api.connect("gmail").await;
    for target in [
        "users/me/messages?q=from:a%40b.c%20is:unread&maxResults=5",
        "calendars/alice@example.com/events",
        "projects/a%2Fb/files/",
        "people:batchGet?personFields=a,b&path=own&x=../..",
        "a%20b/caf%C3%A9",
        "x?path=somewhere/else",
    ] {
        let (status, body) = wire::get(&api.origin, &format!("/api/proxy/gmail/{target}")).await;

        assert_eq!(status, 200, "{target}: {body}");
        let seen = upstream.asked().pop().expect("a request");
        assert_eq!(seen.target, format!("/v1/{target}"));
    }
}

#[tokio::test]
async fn px01_another_host_is_one_that_the_definition_names() {
    let (api, _) = with_upstream().await;
    for host in [
        "evil.test",
        "127.0.0.1",
        "gmail.googleapis.com:444",
        "@evil.test",
    ] {
        let request = api
            .request("GET", "/api/proxy/gmail/a")
            .bearer_auth(KEY)
            .header("x-grantkeep-host", host);
        let refused = send(request).await;

        assert_eq!(
            (refused.status, refused.code()),
            (400, "invalid_request".to_owned())
        );
    }
}

#[tokio::test]
async fn px02_a_redirect_is_handed_back_and_not_followed() {
    let (api, _) = with_upstream().await;
    api.connect("gmail").await;

    let moved = call(&api, "GET", "moved", "").await;

    assert_eq!(moved.status, 302);
    assert_eq!(moved.header("location"), "http://127.0.0.1:1/elsewhere");
}

#[tokio::test]
async fn px03_a_private_address_is_never_called() {
    for base in [
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[fd00::1]/",
    ] {
        let api = TestApi::builder()
            .provider("gmail", json!({"api_base": base}))
            .start()
            .await;
        api.connect("gmail").await;

        let refused = call(&api, "GET", "a", "").await;

        assert_eq!(
            (refused.status, refused.code()),
            (500, "misconfigured".to_owned()),
            "{base}"
        );
        assert!(refused.text.contains("private network"), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_provider_without_an_api_says_what_to_set() {
    let api = TestApi::builder()
        .provider("acme", json!({"issuer": "{origin}"}))
        .variable("ACME_CLIENT_ID", "acme")
        .variable("ACME_CLIENT_SECRET", "secret")
        .start()
        .await;

    let refused = api.get("/api/proxy/acme/a").await;

    assert_eq!(
        (refused.status, refused.code()),
        (500, "misconfigured".to_owned())
    );
    assert!(refused.text.contains("api_base"), "{}", refused.text);
}
