//! What a function says on stdout: JSON lines, one for the cold start, one for each request.

use grantkeep_runtime::test_hosts::Kind;
use grantkeep_tests::api::hash;
use grantkeep_tests::deployment::{self, Ended};
use grantkeep_tests::{Consent, Deployment};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::flow::whole_flow;
use crate::steps::{connect, lines};

/// The events of one name in a log.
pub fn events(stdout: &str, name: &str) -> Vec<Value> {
    let mut lines = lines(stdout);
    lines.retain(|line| line["event"] == name);
    lines
}

fn of<'a>(all: &'a [Ended], function: &str) -> &'a Ended {
    let ended = all.iter().find(|ended| ended.function == function);
    ended.expect("a process of each function")
}

async fn one_cold_start_and_one_line_for_each_request_under(kind: Kind) {
    let deployment = Deployment::builder(kind).start().await;
    whole_flow(&deployment, "user-1", "alice@example.test").await;
    whole_flow(&deployment, "user-2", "bob@example.test").await;
    let answered = deployment.exchanges();

    let ended = deployment.stop().await;

    let mut logged = BTreeMap::new();
    for Ended { function, stopped } in &ended {
        let cold_starts = events(&stopped.stdout, "cold_start");
        assert_eq!(cold_starts.len(), 1, "{function}: {}", stopped.stdout);
        let cold_start = &cold_starts[0];
        assert_eq!(cold_start["function"], *function, "{cold_start}");
        for duration in ["since_start_ms", "check_ms"] {
            assert!(cold_start[duration].as_f64() > Some(0.0), "{cold_start}");
        }
        let report: Value = serde_json::from_str(cold_start["scopes"].as_str().unwrap_or_default())
            .expect("the scope report");
        let names: Vec<&str> = report["providers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|provider| provider["provider"].as_str())
            .collect();
        assert_eq!(names, ["gmail", "google_calendar", "outlook"], "{report}");

        for request in events(&stopped.stdout, "request") {
            tk07_a_token_that_was_handed_out_is_told_by_its_fingerprint(&request);
            assert!(request["duration_ms"].as_f64() > Some(0.0), "{request}");
            let told = |field: &str| request[field].as_str().unwrap_or_default().to_owned();
            let status = request["status"].as_u64().unwrap_or_default();
            let line = ((*function).to_owned(), told("method"), status);
            *logged.entry(line).or_insert(0) += 1;
        }
    }
    let mut expected = BTreeMap::new();
    for exchange in &answered {
        let line = (
            exchange.function.to_owned(),
            exchange.method.clone(),
            u64::from(exchange.status),
        );
        *expected.entry(line).or_insert(0) += 1;
    }
    assert_eq!(logged, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cold_start_and_one_line_for_each_request_on_vercel() {
    one_cold_start_and_one_line_for_each_request_under(Kind::Vercel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cold_start_and_one_line_for_each_request_on_lambda() {
    one_cold_start_and_one_line_for_each_request_under(Kind::Lambda).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cold_start_and_one_line_for_each_request_on_a_plain_port() {
    one_cold_start_and_one_line_for_each_request_under(Kind::Port).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_line_names_route_provider_connection_and_key() {
    let deployment = Deployment::builder(Kind::Port).instances(1).start().await;
    connect(&deployment, "gmail", &Consent::default()).await;
    let token = deployment.token("gmail").await;
    let id = token.json()["connection_id"].clone();
    let path = format!("/api/connections/{}", id.as_str().unwrap_or_default());
    deployment.call("GET", &path, None).await;
    deployment
        .visitor()
        .get("/api/oauth/gmail/callback?state=forged&code=x")
        .await;
    deployment
        .visitor()
        .get("/api/oauth/made-up/authorize")
        .await;

    let ended = deployment.stop().await;

    let request = |function: &str, number: usize| {
        let requests = events(&of(&ended, function).stopped.stdout, "request");
        requests.get(number).cloned().unwrap_or_default()
    };
    let seen = request("token", 0);
    assert_eq!(
        (&seen["route"], &seen["provider"]),
        (&"/api/token".into(), &"gmail".into())
    );
    assert_eq!(
        (&seen["connection_id"], &seen["key"]),
        (&id, &"everything".into())
    );
    let seen = request("connections-id", 0);
    assert_eq!(seen["route"], "/api/connections/{id}");
    assert_eq!(
        (&seen["connection_id"], &seen["provider"]),
        (&id, &"gmail".into())
    );
    let seen = request("callback", 0);
    assert_eq!(seen["route"], "/api/oauth/{provider}/callback");
    assert_eq!(
        (&seen["connection_id"], &seen["provider"]),
        (&id, &"gmail".into())
    );
    let forged = request("callback", 1);
    assert_eq!(
        (&forged["status"], &forged["provider"]),
        (&400.into(), &"gmail".into())
    );
    let unknown = request("authorize", 1);
    assert_eq!(
        (&unknown["status"], &unknown["provider"]),
        (&404.into(), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_missing_or_malformed_are_logged_and_answered_by_name() {
    for kind in Kind::ALL {
        for function in grantkeep_functions::routes::FUNCTIONS {
            let program = deployment::program(function.name).await;
            let variables = BTreeMap::from(
                [
                    ("OAUTH_ENCRYPTION_KEY", "canary-key"),
                    ("SERVICE_KEYS", "canary-service-key"),
                    ("OAUTH_PROVIDERS", "{\"gmail\":canary-provider"),
                    ("SESSION_SECRET", "canary-session"),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            );
            let host = deployment::start(kind, &program, None, &variables).await;
            let path = function.routes[0]
                .0
                .replace("{provider}", "gmail")
                .replace("{id}", "1");

            let answer = host.get(&path).await;

            let body: Value = serde_json::from_slice(answer.body()).expect("a problem");
            let stopped = host.stop().await;
            let logged = events(&stopped.stdout, "misconfigured");
            assert_eq!(
                (answer.status().as_u16(), &body["code"]),
                (500, &"misconfigured".into())
            );
            assert_eq!(logged.len(), 1, "{}", stopped.stdout);
            assert_eq!(logged[0]["error"], body["detail"], "{}", stopped.stdout);
            let detail = body["detail"].as_str().unwrap_or_default();
            for name in [
                "DATABASE_URL is not set",
                "PUBLIC_URL is not set",
                "OAUTH_ENCRYPTION_KEY must be",
                "SERVICE_KEYS",
                "OAUTH_PROVIDERS",
                "SESSION_SECRET must",
            ] {
                assert!(detail.contains(name), "{}: {detail}", function.name);
            }
            let said = format!("{}{}{body}", stopped.stdout, stopped.stderr);
            assert!(!said.contains("canary"), "{said}");
            assert_eq!(
                events(&stopped.stdout, "request").len(),
                1,
                "{}",
                stopped.stdout
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_without_needs_works_without_the_settings_of_others() {
    let deployment = Deployment::builder(Kind::Port)
        .instances(1)
        .variable(
            "SERVICE_KEYS",
            &format!("reader:default:read:{}", hash("another")),
        )
        .variable("SESSION_SECRET", "")
        .start()
        .await;

    let health = deployment.visitor().get("/api/health").await;
    let page = deployment.visitor().get("/connect").await;

    assert_eq!(health.status, 200, "{}", health.text);
    assert_eq!((page.status, page.code().as_str()), (500, "misconfigured"));
    assert!(
        page.text.contains("SESSION_SECRET is not set"),
        "{}",
        page.text
    );
}

fn tk07_a_token_that_was_handed_out_is_told_by_its_fingerprint(request: &Value) {
    let handed_out = request["route"] == "/api/token" && request["status"] == 200;
    let hex = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());

    assert_eq!(
        request["token"].as_str().is_some_and(hex),
        handed_out,
        "{request}"
    );
    assert_eq!(request["scope"].is_string(), handed_out, "{request}");
}
