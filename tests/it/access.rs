//! Service keys: what each may do, and how a request may carry one.

use grantkeep_tests::TestApi;
use grantkeep_tests::api::{ACME_KEY, KEY, READ_KEY, hash, session};
use grantkeep_tests::http::send;

use crate::support::{connection_id, count, problem, with_headers};

fn unauthorized() -> (u16, String) {
    (401, "unauthorized".to_owned())
}

fn forbidden() -> (u16, String) {
    (403, "forbidden".to_owned())
}

fn invalid() -> (u16, String) {
    (400, "invalid_request".to_owned())
}

#[tokio::test]
async fn tk01_a_key_reads_only_its_workspace_and_only_with_the_permission() {
    let writer = "gk_test_writer";
    let keys = [
        format!("all:*:read+write:{}", hash(KEY)),
        format!("acme:acme:read:{}", hash(ACME_KEY)),
        format!("writer:*:write:{}", hash(writer)),
    ];
    let api = TestApi::builder()
        .variable("SERVICE_KEYS", &keys.join(", "))
        .start()
        .await;
    api.connect("gmail").await;
    let token = "/api/token?provider=gmail";

    let other = api.get_as(ACME_KEY, token).await;
    let own = api
        .get_as(ACME_KEY, &format!("{token}&workspace=acme"))
        .await;
    let no_read = api.get_as(writer, token).await;
    let no_list = api.get_as(writer, "/api/connections").await;
    let other_list = api.get_as(ACME_KEY, "/api/connections").await;

    assert_eq!(problem(&other), forbidden());
    assert_eq!(problem(&own), (404, "not_connected".to_owned()));
    assert_eq!(
        (problem(&no_read), problem(&no_list)),
        (forbidden(), forbidden())
    );
    assert_eq!(problem(&other_list), forbidden());
}

#[tokio::test]
async fn tk03_a_key_in_the_url_is_refused_and_called_leaked() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    for name in ["access_token", "api_key", "apikey", "service_key"] {
        for path in [
            format!("/api/token?provider=gmail&{name}={KEY}"),
            format!("/api/connections?{name}={KEY}"),
        ] {
            for headers in [vec![], vec![("authorization", format!("Bearer {KEY}"))]] {
                let headers: Vec<(&str, &str)> = headers
                    .iter()
                    .map(|(name, value)| (*name, &**value))
                    .collect();

                let reply = with_headers(&api, "GET", &path, &headers).await;

                assert_eq!(problem(&reply), invalid(), "{path}");
                assert!(reply.text.contains("replace it"), "{}", reply.text);
                assert!(!reply.text.contains(KEY));
            }
        }
    }
}

#[tokio::test]
async fn tk03_only_the_hash_of_a_key_is_configured_and_it_is_no_key() {
    let api = TestApi::start().await;

    let with_hash = api.get_as(&hash(KEY), "/api/token?provider=gmail").await;
    let almost = api
        .get_as(&format!("{KEY}x"), "/api/token?provider=gmail")
        .await;

    assert!(!api.variables["SERVICE_KEYS"].contains(KEY));
    assert_eq!(
        (problem(&with_hash), problem(&almost)),
        (unauthorized(), unauthorized())
    );
}

#[tokio::test]
async fn tk04_a_missing_key_looks_like_a_wrong_one() {
    let api = TestApi::start().await;
    let post = ("content-type", "application/json");

    for (method, path) in [
        ("GET", "/api/token?provider=gmail"),
        ("POST", "/api/token"),
        ("POST", "/api/connect-links"),
        ("GET", "/api/connections"),
        (
            "DELETE",
            "/api/connections/00000000-0000-4000-8000-000000000000",
        ),
        (
            "PATCH",
            "/api/connections/00000000-0000-4000-8000-000000000000",
        ),
    ] {
        let missing = with_headers(&api, method, path, &[post]).await;
        let wrong = with_headers(
            &api,
            method,
            path,
            &[post, ("authorization", "Bearer gk_wrong")],
        )
        .await;

        assert_eq!(problem(&missing), unauthorized(), "{method} {path}");
        assert_eq!((missing.status, &missing.text), (wrong.status, &wrong.text));
        assert_eq!(missing.header("www-authenticate"), "Bearer");
        assert_eq!(wrong.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn tk04_other_schemes_and_empty_bearers_are_refused() {
    let api = TestApi::start().await;

    for value in [
        "Basic dTpw",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        KEY,
        "bearer gk_wrong",
    ] {
        let headers = [("authorization", value)];
        let reply = with_headers(&api, "GET", "/api/token?provider=gmail", &headers).await;

        assert_eq!(problem(&reply), unauthorized(), "{value:?}");
    }
}

#[tokio::test]
async fn tk04_a_scope_that_is_missing_is_named_in_the_challenge() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    let reply = api.get("/api/token?provider=gmail&scope=x").await;

    assert_eq!(problem(&reply), (403, "insufficient_scope".to_owned()));
    assert_eq!(
        reply.header("www-authenticate"),
        "Bearer error=\"insufficient_scope\""
    );
}

#[tokio::test]
async fn tk05_two_credentials_in_one_request_are_refused() {
    let api = TestApi::start().await;
    let bearer = format!("Bearer {KEY}");
    let cookie = format!("grantkeep_session={}", session("default", "default"));
    let authorization = ("authorization", &*bearer);

    let twice = [authorization, authorization];
    let twice = with_headers(&api, "GET", "/api/token?provider=gmail", &twice).await;
    let both = [authorization, ("cookie", &*cookie)];
    let both = with_headers(&api, "GET", "/api/connections", &both).await;

    assert_eq!((problem(&twice), problem(&both)), (invalid(), invalid()));
}

#[tokio::test]
async fn a_read_key_neither_links_nor_confirms_nor_disconnects() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let path = format!("/api/connections/{}", connection_id(&api, "gmail").await);
    let bearer = format!("Bearer {READ_KEY}");
    for (method, path, body) in [
        ("POST", "/api/connect-links", "{\"provider\":\"gmail\"}"),
        ("PATCH", &*path, "{\"status\":\"active\"}"),
        ("DELETE", &*path, ""),
    ] {
        let request = api
            .request(method, path)
            .header("authorization", &bearer)
            .header("content-type", "application/json")
            .body(body);
        assert_eq!(problem(&send(request).await), forbidden(), "{method}");
    }
    assert_eq!(count(&api, "oauth_tokens").await, "1");
}

#[tokio::test]
async fn tk06_wrong_keys_are_answered_429_after_many_and_right_ones_never() {
    let api = TestApi::start().await;
    let mut last = api.get_as("gk_wrong", "/api/token?provider=gmail").await;

    for _ in 0..100 {
        last = api.get_as("gk_wrong", "/api/token?provider=gmail").await;
    }
    let right = api.token("gmail").await;

    assert_eq!((last.status, last.code().as_str()), (429, "unauthorized"));
    assert!(
        last.header("retry-after")
            .parse::<u64>()
            .is_ok_and(|seconds| seconds <= 61)
    );
    assert_eq!(right.status, 404, "not connected, and not held up");
}
