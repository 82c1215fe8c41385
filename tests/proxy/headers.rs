//! PX-04: what passes, and what does not.

use grantkeep_tests::api::KEY;
use grantkeep_tests::http::send;

use crate::upstream::{call, stored_token, with_upstream};

#[tokio::test]
async fn px04_the_api_gets_the_token_and_nothing_of_the_callers_own_credentials() {
    let (api, upstream) = with_upstream().await;
    api.connect("gmail").await;
    let request = api
        .request("POST", "/api/proxy/gmail/things")
        .bearer_auth(KEY)
        .header("cookie", "session=secret")
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-forwarded-host", "evil.test")
        .header("proxy-authorization", "Basic x")
        .header("connection", "close, x-hop")
        .header("x-hop", "1")
        .header("x-grantkeep-actor", "default")
        .header("content-type", "application/json")
        .header("if-match", "\"7\"")
        .body("{}");

    assert_eq!(send(request).await.status, 200);

    let seen = upstream.asked().pop().expect("a request");
    assert_eq!(seen.bearer(), stored_token(&api).await);
    assert_eq!((seen.method.as_str(), &seen.body[..]), ("POST", &b"{}"[..]));
    let mut names: Vec<&str> = seen.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "if-match",
            "user-agent"
        ]
    );
    assert!(
        seen.headers["host"]
            .to_str()
            .is_ok_and(|host| !api.origin.ends_with(host))
    );
}

#[tokio::test]
async fn px04_cookies_challenges_and_caching_of_the_api_stay_behind() {
    let (api, _) = with_upstream().await;
    api.connect("gmail").await;

    let answer = call(&api, "GET", "chatty", "").await;

    assert_eq!((answer.status, answer.text.as_str()), (200, "body"));
    for gone in [
        "set-cookie",
        "www-authenticate",
        "access-control-allow-origin",
        "x-grantkeep-error",
    ] {
        assert_eq!(answer.header(gone), "", "{gone}");
    }
    assert_eq!(answer.header("cache-control"), "no-store");
    for (kept, value) in [
        ("etag", "\"7\""),
        ("retry-after", "3"),
        ("content-encoding", "x-own"),
        ("content-length", "4"),
    ] {
        assert_eq!(answer.header(kept), value, "{kept}");
    }
}

#[tokio::test]
async fn an_answer_of_the_api_comes_back_whatever_its_status() {
    let (api, _) = with_upstream().await;
    api.connect("gmail").await;
    for status in [201, 204, 304, 400, 403, 404, 409, 429, 500, 503] {
        let answer = call(&api, "GET", &format!("status/{status}"), "").await;

        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-api"), "says");
        assert_eq!(answer.header("x-grantkeep-error"), "", "{status}");
    }
}

#[tokio::test]
async fn methods_and_their_bodies_pass() {
    let (api, upstream) = with_upstream().await;
    api.connect("gmail").await;
    for method in [
        "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND",
    ] {
        let body = if method == "GET" || method == "HEAD" {
            ""
        } else {
            "body"
        };
        let answer = call(&api, method, "things", body).await;

        assert_eq!(answer.status, 200, "{method}: {}", answer.text);
        let seen = upstream.asked().pop().expect("a request");
        assert_eq!(
            (seen.method.as_str(), &seen.body[..]),
            (method, body.as_bytes())
        );
    }
    let refused = call(&api, "TRACE", "things", "").await;
    assert_eq!(
        (refused.status, refused.code()),
        (405, "invalid_request".to_owned())
    );
}
