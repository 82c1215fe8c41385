//! Answers of token endpoints: what becomes a connection, and what does not.

use grantkeep_demo_provider::{ResponseFormat, ScopeEcho};
use grantkeep_tests::{Reply, TestApi};
use serde_json::{Value, json};

use crate::scripted::{Answer, Scripted, callback};
use crate::support::{READONLY, connected, count, failed, outcome};

/// Connects `plain` with this answer of the token endpoint.
async fn exchanged(answer: Answer) -> (Reply, TestApi) {
    let server = Scripted::start().await;
    let api = server.plain(json!({})).await;
    server.answers(answer);
    (callback(&api, "plain").await, api)
}

async fn rows(api: &TestApi) -> String {
    count(api, "oauth_tokens").await
}

#[tokio::test]
async fn ex04_what_is_no_token_set_makes_no_connection() {
    let unusable = [
        Answer::json(&json!({"token_type": "Bearer", "expires_in": 3600})),
        Answer::json(&json!({"access_token": "", "token_type": "Bearer"})),
        Answer::json(&json!({"access_token": null, "token_type": "Bearer"})),
        Answer::json(&json!({"access_token": "at", "token_type": "mac"})),
        Answer::json(&json!({"error": "invalid_grant"})),
        Answer::json(&json!({"error": "bad_verification_code"})),
        Answer::json(&json!({"ok": false, "error": "invalid_code"})),
        Answer::json(&json!({"ok": false})),
        Answer::json(&json!(["access_token", "at"])),
        Answer::text("application/json", "{\"access_token\": \"at"),
        Answer::text("text/html", "<html>access_token=at</html>"),
        Answer::text("text/plain", ""),
        Answer::json(&json!({"error": "invalid_grant"})).with_status(400),
        Answer::json(&json!({"error": "invalid_request", "error_description": "x"}))
            .with_status(403),
        Answer::json(&json!({"access_token": "at", "token_type": "Bearer"})).with_status(400),
    ];
    for answer in unusable {
        let shown = answer.body.clone();

        let (done, api) = exchanged(answer).await;

        assert_eq!(outcome(&done), failed("provider_error"), "{shown}");
        assert_eq!(rows(&api).await, "0", "{shown}");
    }
}

#[tokio::test]
async fn ex04_the_type_is_compared_without_case_and_unknown_members_are_ignored() {
    for answer in [
        json!({"access_token": "at", "token_type": "bEaReR", "novel": {"a": [1, null]}}),
        json!({"access_token": "at"}),
    ] {
        let (done, _) = exchanged(Answer::json(&answer)).await;

        assert_eq!(outcome(&done), connected(), "{answer}");
    }
}

#[tokio::test]
async fn ex05_what_real_providers_answer_is_read() {
    let set = json!({"access_token": "at", "token_type": "Bearer", "expires_in": 3600});
    let with = |more: Value| {
        let mut set = set.clone();
        grantkeep_providers::merge(&mut set, more);
        Answer::json(&set)
    };
    let as_form = "access_token=at&token_type=bearer&scope=mail.read%2Cmail.send&expires_in=3600";
    let nested = json!({"ok": true, "authed_user": {"access_token": "at", "token_type": "user"}});
    let plain = json!({});
    let cases = [
        (
            "form",
            plain.clone(),
            Answer::text("application/x-www-form-urlencoded", as_form),
        ),
        (
            "form as text",
            plain.clone(),
            Answer::text("text/plain", as_form),
        ),
        ("ok", plain.clone(), with(json!({"ok": true}))),
        (
            "nested",
            json!({"token_response_path": "authed_user", "bearer_token_types": ["user"]}),
            Answer::json(&nested),
        ),
        (
            "commas",
            plain.clone(),
            with(json!({"scope": "mail.read,mail.send"})),
        ),
        (
            "array",
            plain.clone(),
            with(json!({"scope": ["mail.read", "mail.send"]})),
        ),
        (
            "scopes",
            plain.clone(),
            with(json!({"scopes": ["mail.read", "mail.send"]})),
        ),
        (
            "extra",
            plain.clone(),
            with(json!({"scope": "x mail.send  mail.read mail.read"})),
        ),
        ("string", plain, with(json!({"expires_in": "3600"}))),
    ];
    for (name, definition, answer) in cases {
        let server = Scripted::start().await;
        let api = server.plain(definition).await;
        server.answers(answer);

        let done = callback(&api, "plain").await;
        let token = api.token("plain").await;

        assert_eq!(outcome(&done), connected(), "{name}");
        assert_eq!(token.json()["access_token"], "at", "{name}");
        let scope = token.json()["scope"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(scope.contains("mail.read"), "{name}: {scope}");
    }
}

#[tokio::test]
async fn ex05_the_demo_providers_quirks_are_read() {
    let api = TestApi::start().await;
    for (name, echo, format) in [
        ("comma", ScopeEcho::Comma, ResponseFormat::Json),
        ("array", ScopeEcho::Array, ResponseFormat::Json),
        ("scopes", ScopeEcho::ArrayInScopes, ResponseFormat::Json),
        ("form", ScopeEcho::String, ResponseFormat::Form),
    ] {
        api.provider.update(|knobs| {
            knobs.scope_echo = echo;
            knobs.response_format = format;
        });

        let done = api.connect("gmail").await;
        let token = api
            .get(&format!("/api/token?provider=gmail&scope={READONLY}"))
            .await;

        assert_eq!(outcome(&done), connected(), "{name}");
        assert_eq!(token.status, 200, "{name}: {}", token.text);
    }
}

#[tokio::test]
async fn ex05_the_end_of_the_refresh_token_is_kept() {
    let set = json!({"access_token": "at", "refresh_token": "rt", "expires_in": 3600});
    for name in ["refresh_token_expires_in", "x_refresh_token_expires_in"] {
        let mut set = set.clone();
        set[name] = json!(86_400);

        let (_, api) = exchanged(Answer::json(&set)).await;

        let hours = "select round(extract(epoch from refresh_expires_at - now()) / 3600)::text
                       from oauth_tokens";
        assert_eq!(api.text(hours).await.as_deref(), Some("24"), "{name}");
    }
}

#[tokio::test]
async fn ex08_every_way_of_writing_expires_in_is_read() {
    let cases = [
        (json!("3599"), "3599"),
        (json!(3599.0), "3599"),
        (json!("3599.5"), "3599"),
        (json!(-1), "0"),
        (json!(0), "0"),
        (json!(1e30), "315360000"),
        (Value::Null, "unknown"),
        (json!("soon"), "unknown"),
    ];
    for (expires_in, expected) in cases {
        let set = json!({"access_token": "at", "expires_in": expires_in, "refresh_token": "rt"});

        let (done, api) = exchanged(Answer::json(&set)).await;

        assert_eq!(outcome(&done), connected(), "{expires_in}");
        let sql = "select coalesce(round(extract(epoch from expires_at - created_at))::text,
                                   'unknown') from oauth_tokens";
        let stored = api.text(sql).await.unwrap_or_default();
        let near = match (stored.parse::<i64>(), expected.parse::<i64>()) {
            (Ok(stored), Ok(expected)) => (expected - 1..=expected).contains(&stored),
            _ => stored == expected,
        };
        assert!(near, "{expires_in}: {stored}");
    }
}
