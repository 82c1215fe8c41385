//! Who may post a code, which codes count, and what is never done.

use grantkeep_demo_provider::IdTokenFault;
use grantkeep_tests::http::send;
use grantkeep_tests::{Consent, TestApi};
use serde_json::json;

use crate::page::{
    MARK, PATH, READONLY, code, code_of, cookie, count, get_with, post, post_with, problem, sign_in,
};

fn forbidden() -> (u16, String) {
    (403, "forbidden".to_owned())
}

#[tokio::test]
async fn st09_only_a_page_of_ours_posts_a_code() {
    let api = TestApi::start().await;
    let own = api.origin.clone();
    let body = json!({"code": code_of(&api, "alice@example.test").await});
    for headers in [
        vec![("origin", own.as_str())],
        vec![MARK],
        vec![MARK, ("origin", "https://evil.test")],
        vec![MARK, ("origin", "null")],
        vec![("x-requested-with", "fetch"), ("origin", own.as_str())],
    ] {
        let refused = post_with(&api, &body, &headers).await;

        assert_eq!(problem(&refused), forbidden(), "{headers:?}");
        assert!(refused.cookies().is_empty());
    }
    assert_eq!(api.provider.token_requests(), 0);

    let listed = [MARK, ("origin", "https://app.test")];
    let allowed = post_with(&api, &body, &listed).await;
    assert_eq!(allowed.status, 200, "{}", allowed.text);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        "https://app.test"
    );
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
}

#[tokio::test]
async fn a_page_of_ours_may_ask_first_and_no_other() {
    let api = TestApi::start().await;
    let ask = async |origin: &str| {
        let request = api
            .request("OPTIONS", PATH)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "content-type,x-requested-with",
            );
        send(request).await
    };

    let ours = ask("https://app.test").await;
    let other = ask("https://evil.test").await;

    assert_eq!(ours.status, 204);
    assert_eq!(
        ours.header("access-control-allow-origin"),
        "https://app.test"
    );
    assert!(
        ours.header("access-control-allow-headers")
            .contains("x-requested-with")
    );
    assert_eq!(other.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn st09_a_code_is_json_of_a_page_and_nothing_else() {
    let api = TestApi::start().await;
    let code = code_of(&api, "alice@example.test").await;
    let request = |kind: &str, body: String| {
        api.request("POST", PATH)
            .header("origin", &api.origin)
            .header("x-requested-with", "XMLHttpRequest")
            .header("content-type", kind)
            .body(body)
    };

    let text = send(request("text/plain", json!({"code": code}).to_string())).await;
    let form = send(request(
        "application/x-www-form-urlencoded",
        format!("code={code}"),
    ))
    .await;
    let none = send(request("application/json", "{}".to_owned())).await;
    let empty = send(request("application/json", json!({"code": ""}).to_string())).await;
    let query = send(api.request("GET", &format!("{PATH}?code={code}"))).await;

    let statuses = [text, form, none, empty, query].map(|reply| reply.status);
    assert_eq!(statuses, [415, 415, 400, 400, 405]);
    assert_eq!(api.provider.token_requests(), 0);
}

#[tokio::test]
async fn a_code_works_once_and_a_strange_one_never() {
    let api = TestApi::start().await;
    let body = json!({"code": code_of(&api, "alice@example.test").await});

    assert_eq!(post(&api, &body).await.status, 200);
    let again = post(&api, &body).await;
    let strange = post(&api, &json!({"code": "4/0Astrange"})).await;

    for refused in [&again, &strange] {
        assert_eq!(problem(refused), (400, "invalid_request".to_owned()));
        assert_eq!(refused.json()["errors"][0]["field"], "code");
        assert!(refused.cookies().is_empty());
    }
    assert!(!strange.text.contains("4/0Astrange"));
    assert_eq!(count(&api, "users").await, 1);
}

#[tokio::test]
async fn a_code_without_openid_says_nobody() {
    let api = TestApi::start().await;
    let code = code(&api, READONLY, &Consent::default()).await;

    let refused = post(&api, &json!({"code": code})).await;

    assert_eq!(problem(&refused), (400, "invalid_request".to_owned()));
    assert!(refused.text.contains("openid"), "{}", refused.text);
    assert_eq!(count(&api, "oauth_tokens").await, 0);
}

#[tokio::test]
async fn id01_id02_an_id_token_that_is_not_to_be_believed_signs_nobody_in() {
    let api = TestApi::start().await;
    for fault in [
        IdTokenFault::WrongAud,
        IdTokenFault::WrongIss,
        IdTokenFault::Expired,
        IdTokenFault::AlgNone,
        IdTokenFault::BadSignature,
    ] {
        api.provider
            .update(|knobs| knobs.id_token_fault = Some(fault));
        let refused = sign_in(&api, "alice@example.test").await;

        assert_eq!(
            problem(&refused),
            (502, "provider_error".to_owned()),
            "{fault:?}"
        );
        assert!(refused.cookies().is_empty());
    }
    assert_eq!(
        (
            count(&api, "users").await,
            count(&api, "oauth_tokens").await
        ),
        (0, 0)
    );
}

#[tokio::test]
async fn id01_without_keys_to_check_an_id_token_nobody_signs_in() {
    for (members, expected) in [
        (
            json!({"jwks_uri": "{origin}/nothing-here"}),
            (503, "provider_unavailable"),
        ),
        (json!({"jwks_uri": null}), (500, "misconfigured")),
        (
            json!({"popup_redirect_uri": null, "sign_in": false}),
            (404, "unknown_provider"),
        ),
    ] {
        let api = TestApi::builder()
            .provider("gmail", members.clone())
            .start()
            .await;

        let refused = sign_in(&api, "alice@example.test").await;

        assert_eq!(
            (refused.status, refused.code().as_str()),
            expected,
            "{members}"
        );
        assert_eq!(count(&api, "users").await, 0);
    }
}

#[tokio::test]
async fn what_is_not_saved_signs_nobody_in() {
    let api = TestApi::builder()
        .variable("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .start()
        .await;

    let refused = sign_in(&api, "alice@example.test").await;

    assert_eq!(problem(&refused), (503, "storage_unavailable".to_owned()));
    assert!(refused.cookies().is_empty());
}

#[tokio::test]
async fn st13_the_cookie_is_host_only_secure_lax_and_lives_for_a_week() {
    let api = TestApi::builder()
        .variable("PUBLIC_URL", "https://auth.example")
        .start()
        .await;

    let signed_in = sign_in(&api, "alice@example.test").await;

    let cookie = signed_in.cookies()[0];
    assert!(cookie.starts_with("__Host-grantkeep_session="), "{cookie}");
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
    let age = cookie.split("Max-Age=").nth(1);
    let age = age.and_then(|rest| rest.split(';').next()?.parse::<i64>().ok());
    assert!(
        age.is_some_and(|age| (604_790..=604_800).contains(&age)),
        "{cookie}"
    );
}

#[tokio::test]
async fn signing_out_takes_the_cookie_and_leaves_the_connection() {
    let api = TestApi::start().await;
    let signed_in = sign_in(&api, "alice@example.test").await;
    let session = cookie(&signed_in);
    let leave = |headers: &[(&str, &str)]| {
        let request = api.request("DELETE", PATH).header("cookie", &session);
        headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        })
    };

    let foreign = send(leave(&[MARK, ("origin", "https://evil.test")])).await;
    let unmarked = send(leave(&[("origin", &api.origin)])).await;
    assert_eq!(
        (problem(&foreign), problem(&unmarked)),
        (forbidden(), forbidden())
    );

    let left = send(leave(&[MARK, ("origin", &api.origin)])).await;
    assert_eq!((left.status, left.text.as_str()), (204, ""));
    assert!(
        left.cookies()[0].contains("Max-Age=0"),
        "{:?}",
        left.cookies()
    );
    let listed = get_with(&api, "/api/connections", &session).await;
    assert_eq!(
        listed.json()["connections"].as_array().map(Vec::len),
        Some(1)
    );
}
