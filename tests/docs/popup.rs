//! Answers of the sign-in and of the proxy fit `docs/openapi.json`.

use grantkeep_tests::api::{KEY, READ_KEY};
use grantkeep_tests::http::send;
use grantkeep_tests::visitor::popup_code;
use grantkeep_tests::{Consent, Reply, TestApi};
use serde_json::{Value, json};

use crate::answers::documented;
use crate::project::openapi;

const READONLY: &str = "https://www.googleapis.com/auth/gmail.readonly";

#[tokio::test]
async fn signing_in_and_the_proxy_answer_as_documented() {
    let document = openapi();
    let is = |operation: &str, reply: &Reply, expected: &str| {
        let code = documented(&document, operation, reply);
        assert_eq!(code, expected, "{operation}: {}", reply.text);
    };
    let api = TestApi::start().await;
    let sign_in = "POST /api/auth/google";
    let post = async |origin: &str, kind: &str, body: Value| {
        let request = api
            .request("POST", "/api/auth/google")
            .header("x-requested-with", "XMLHttpRequest")
            .header("origin", origin)
            .header("content-type", kind);
        send(request.body(body.to_string())).await
    };
    let json_type = "application/json";
    let scope = format!("openid email {READONLY}");
    let code = popup_code(&api.provider, &scope, &Consent::default()).await;
    let body = json!({"code": code, "scope": scope});
    is(
        sign_in,
        &post("https://evil.test", json_type, body.clone()).await,
        "forbidden",
    );
    is(
        sign_in,
        &post(&api.origin, "text/plain", body.clone()).await,
        "invalid_request",
    );
    let signed_in = post(&api.origin, json_type, body.clone()).await;
    is(sign_in, &signed_in, "");
    is(
        sign_in,
        &post(&api.origin, json_type, body).await,
        "invalid_request",
    );
    let unknown = json!({"code": "c", "provider": "nothing"});
    is(
        sign_in,
        &post(&api.origin, json_type, unknown).await,
        "unknown_provider",
    );
    let leave = api
        .request("DELETE", "/api/auth/google")
        .header("x-requested-with", "XMLHttpRequest")
        .header("origin", &api.origin);
    is("DELETE /api/auth/google", &send(leave).await, "");

    let proxy = "GET /api/proxy/{provider}/{path}";
    let path = "/api/proxy/gmail/gmail/v1/users/me/profile";
    let actor = signed_in.json()["user"]["id"].clone();
    let call = api
        .request("GET", path)
        .header("x-grantkeep-actor", actor.as_str().unwrap_or_default());
    let called = send(call.bearer_auth(KEY)).await;
    assert_eq!(called.status, 200, "{}", called.text);
    assert_eq!(called.header("x-grantkeep-error"), "");
    is(proxy, &api.get(path).await, "not_connected");
    is(proxy, &api.get_as(READ_KEY, path).await, "forbidden");
    is(
        proxy,
        &api.get("/api/proxy/gmail/..%2fx").await,
        "invalid_request",
    );
    is(proxy, &send(api.request("GET", path)).await, "unauthorized");
}
