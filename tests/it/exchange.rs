//! The code exchange: what is sent to the token endpoint, and what its answers become.

use std::time::{Duration, Instant};

use grantkeep_demo_provider::client::{ClientAuth, DEMO_CLIENT_SECRET};
use grantkeep_demo_provider::{ResponseFormat, ScopeEcho};
use grantkeep_tests::{Reply, TestApi};
use serde_json::{Value, json};

use crate::scripted::{Answer, Scripted, callback};
use crate::support::{
    READONLY, authorize, connected, consented, count, failed, get_with_cookies, outcome, problem,
};

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
async fn ex01_redirects_of_the_token_endpoint_are_not_followed() {
    let api = TestApi::start().await;
    for status in [301, 302, 307, 308] {
        api.provider
            .update(|knobs| knobs.redirect_token = Some(status));

        let done = consented(&api, &authorize("gmail")).await.finish().await;

        assert_eq!(outcome(&done), failed("provider_error"), "{status}");
    }
    let endpoints: Vec<String> = api
        .provider
        .requests()
        .into_iter()
        .map(|r| r.endpoint)
        .collect();
    assert!(!endpoints.contains(&"/moved".to_owned()), "{endpoints:?}");
    assert_eq!(rows(&api).await, "0");
}

#[tokio::test]
async fn ex01_a_silent_token_endpoint_is_given_up_within_ten_seconds() {
    let api = TestApi::start().await;
    api.provider.update(|knobs| knobs.delay_ms = 30_000);
    let mut flow = consented(&api, &authorize("gmail")).await;

    let began = Instant::now();
    let done = flow.finish().await;

    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(outcome(&done), failed("provider_unavailable"));
    assert_eq!(rows(&api).await, "0");
}

#[tokio::test]
async fn ex01_an_answer_of_16_mib_is_cut_off() {
    let api = TestApi::start().await;
    api.provider.update(|knobs| knobs.huge_body = true);

    let done = consented(&api, &authorize("gmail")).await.finish().await;

    assert_eq!(
        done.location_parameter("connection").as_deref(),
        Some("error")
    );
    assert_eq!(rows(&api).await, "0");
}

#[tokio::test]
async fn ex01_private_addresses_are_not_asked() {
    for address in [
        "https://10.0.0.1/token",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00::1]/token",
        "https://0.0.0.0/token",
    ] {
        let server = Scripted::start().await;
        let api = server.plain(json!({"token_endpoint": address})).await;

        let began = Instant::now();
        let done = callback(&api, "plain").await;

        assert_eq!(outcome(&done), failed("provider_unavailable"), "{address}");
        assert!(began.elapsed() < Duration::from_secs(2), "{address}");
    }
}

#[tokio::test]
async fn ex02_basic_authentication_encodes_both_parts() {
    let server = Scripted::start().await;
    let basic = json!({"token_endpoint_auth_method": "client_secret_basic"});
    let api = server.plain_as("a:b", "p%@ss word", basic).await;

    let done = callback(&api, "plain").await;

    assert_eq!(outcome(&done), connected());
    let [seen] = &server.seen()[..] else {
        panic!("one request")
    };
    assert_eq!(
        seen.headers["authorization"],
        "Basic YSUzQWI6cCUyNSU0MHNzK3dvcmQ="
    );
    assert_eq!(seen.parameter("client_secret"), None);
    assert_eq!(seen.query, None);
}

#[tokio::test]
async fn ex02_the_secret_is_in_the_body_or_the_header_never_in_both_or_the_query() {
    let api = TestApi::builder()
        .provider(
            "google_calendar",
            json!({"token_endpoint_auth_method": "client_secret_basic"}),
        )
        .start()
        .await;
    api.connect("gmail").await;
    api.connect("google_calendar").await;

    let requests = api.provider.requests();
    let sent: Vec<ClientAuth> = requests
        .iter()
        .filter(|request| request.endpoint == "/token")
        .map(|request| request.client_auth)
        .collect();

    assert_eq!(sent, [ClientAuth::Post, ClientAuth::Basic]);
    for request in &requests {
        assert!(
            request
                .query
                .iter()
                .all(|(_, value)| value != DEMO_CLIENT_SECRET)
        );
    }
}

#[tokio::test]
async fn ex03_the_verifier_is_sent_once_and_only_where_a_challenge_was() {
    let api = TestApi::builder()
        .provider("google_calendar", json!({"code_challenge_method": "none"}))
        .start()
        .await;
    let mut with = consented(&api, &authorize("gmail")).await;
    let with_done = with.finish().await;
    let without = consented(&api, &authorize("google_calendar"))
        .await
        .finish()
        .await;

    let sent: Vec<bool> = api
        .provider
        .requests()
        .iter()
        .filter(|request| request.endpoint == "/token")
        .map(|request| request.has_code_verifier)
        .collect();

    assert_eq!(sent, [true, false]);
    assert_eq!(
        (outcome(&with_done), outcome(&without)),
        (connected(), connected())
    );
    assert_eq!(count(&api, "pending_authorizations").await, "0");
    assert!(with.browser.cookies.is_empty());
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
async fn ex06_a_connection_that_cannot_be_refreshed_says_so() {
    let api = TestApi::start().await;
    api.provider.update(|knobs| knobs.omit_refresh_token = true);

    let done = api.connect("gmail").await;
    let list = api.get("/api/connections").await.json();
    let id = list["connections"][0]["id"].as_str().unwrap_or_default();
    let shown = api.get(&format!("/api/connections/{id}")).await.json();
    api.set_expiry("gmail", -1).await;
    let later = api.token("gmail").await;

    assert_eq!(outcome(&done), connected());
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["status_reason"], "expires_without_refresh");
    let warned = "connection_events where data->>'warning' = 'expires_without_refresh'";
    assert_eq!(count(&api, warned).await, "1");
    assert_eq!(
        problem(&later),
        (409, "reauthorization_required".to_owned())
    );
    assert_eq!(later.json()["reason"], "no_refresh_token");
}

#[tokio::test]
async fn ex06_a_new_consent_without_refresh_token_keeps_the_one_that_is_there() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.provider.update(|knobs| knobs.omit_refresh_token = true);
    api.connect("gmail").await;
    api.set_expiry("gmail", -1).await;

    let refreshed = api.token("gmail").await;

    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn ex07_a_failed_exchange_is_not_repeated_and_a_new_one_works() {
    let api = TestApi::start().await;
    api.provider.update(|knobs| knobs.token_status = Some(503));
    let mut flow = consented(&api, &authorize("gmail")).await;
    let cookies = flow.browser.cookie_header();

    let failed_once = flow.finish().await;
    let repeated = get_with_cookies(&api, &flow.callback, &cookies).await;
    let tries = api.provider.token_requests();
    api.provider.update(|knobs| knobs.token_status = None);
    let anew = consented(&api, &authorize("gmail")).await.finish().await;

    assert_eq!(outcome(&failed_once), failed("provider_unavailable"));
    assert_eq!(problem(&repeated), (400, "invalid_state".to_owned()));
    assert_eq!(tries, 1);
    assert_eq!(outcome(&anew), connected());
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

#[tokio::test]
async fn ex09_a_lifetime_counts_from_the_request_not_from_the_answer() {
    let api = TestApi::start().await;
    api.provider.update(|knobs| {
        knobs.delay_ms = 1_500;
        knobs.access_token_lifetime_s = 1_000;
    });

    api.connect("gmail").await;

    let sql = "select extract(epoch from expires_at - created_at)::float8::text from oauth_tokens";
    let left: f64 = api
        .text(sql)
        .await
        .and_then(|t| t.parse().ok())
        .expect("seconds");
    assert!((990.0..=998.6).contains(&left), "{left}");
}

#[tokio::test]
async fn refused_client_credentials_are_the_operators_matter() {
    let api = TestApi::builder()
        .variable("GOOGLE_CLIENT_SECRET", "wrong-secret-canary")
        .start()
        .await;

    let done = consented(&api, &authorize("gmail")).await.finish().await;

    assert_eq!(outcome(&done), failed("misconfigured"));
    assert!(!done.header("location").contains("canary"));
    assert_eq!(rows(&api).await, "0");
}
