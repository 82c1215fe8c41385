//! The scope check at cold start: what it finds is logged, shown by health, and never a crash.

use grantkeep_runtime::test_hosts::Kind;
use grantkeep_tests::api::{KEY, session};
use grantkeep_tests::deployment::{program, start};
use grantkeep_tests::http::send;
use grantkeep_tests::{Consent, Deployment};
use http::Request;
use serde_json::{Value, json};

use crate::logs::events;
use crate::steps::connect;

const READONLY: &str = "https://www.googleapis.com/auth/gmail.readonly";

/// A new instance of `health` with the variables of a deployment: what it answers to a
/// service key, and what it logged as its scope report.
async fn cold_health(deployment: &Deployment) -> (u16, Value, Value) {
    let program = program("health").await;
    let host = start(Kind::Port, &program, None, &deployment.variables).await;
    let request = Request::get("/api/health")
        .header("authorization", format!("Bearer {KEY}"))
        .body(bytes::Bytes::new());
    let answer = host.send(request.expect("a request")).await;
    let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
    let stopped = host.stop().await;
    let cold_start = events(&stopped.stdout, "cold_start");
    assert_eq!(cold_start.len(), 1, "{}", stopped.stdout);
    let report = cold_start[0]["scopes"].as_str().unwrap_or_default();
    let report = serde_json::from_str(report).expect("the scope report");
    (answer.status().as_u16(), body, report)
}

fn gmail(report: &Value) -> &Value {
    let mut providers = report["providers"].as_array().into_iter().flatten();
    let gmail = providers.find(|provider| provider["provider"] == "gmail");
    gmail.expect("gmail is configured")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_missing_from_the_default_connection_is_in_the_log_and_in_health() {
    let deployment = Deployment::builder(Kind::Port)
        .instances(1)
        .provider("gmail", json!({"required_scopes": [READONLY]}))
        .start()
        .await;
    connect(&deployment, "gmail", &Consent::without(READONLY)).await;

    let (status, health, report) = cold_health(&deployment).await;

    assert_eq!(status, 200);
    assert_eq!(health["cold_start"], report);
    assert_eq!(gmail(&report)["connection"], "active");
    assert_eq!(gmail(&report)["has_scopes"], false);
    assert_eq!(gmail(&report)["missing_scopes"], json!([READONLY]));
    // Callers who need it are told; all others are served.
    let path = format!("/api/token?provider=gmail&scope={READONLY}");
    let refused = deployment.call("GET", &path, None).await;
    assert_eq!(refused.code(), "insufficient_scope", "{}", refused.text);
    assert_eq!(deployment.token("gmail").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_connection_with_its_scopes_is_reported_so() {
    let deployment = Deployment::builder(Kind::Port).instances(1).start().await;
    let (_, _, before) = cold_health(&deployment).await;
    connect(&deployment, "gmail", &Consent::default()).await;

    let (_, _, after) = cold_health(&deployment).await;

    assert_eq!(gmail(&before)["connection"], "none");
    assert_eq!(gmail(&before)["has_scopes"], Value::Null);
    assert_eq!(gmail(&after)["connection"], "active");
    assert_eq!(gmail(&after)["has_scopes"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_that_are_required_and_never_asked_for_are_reported() {
    let metadata = "https://www.googleapis.com/auth/gmail.metadata";
    let members = json!({"scopes": ["openid", "email"], "required_scopes": [metadata]});
    let deployment = Deployment::builder(Kind::Port)
        .instances(1)
        .provider("gmail", members)
        .start()
        .await;

    let (status, health, report) = cold_health(&deployment).await;

    assert_eq!(status, 200);
    assert_eq!(gmail(&report)["not_requested"], json!([metadata]));
    assert_eq!(health["cold_start"], report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_at_cold_start_crashes_nothing_and_leaks_nothing() {
    let secret = "canary-of-the-database-0815";
    for kind in Kind::ALL {
        let deployment = Deployment::builder(kind)
            .instances(1)
            .variable(
                "DATABASE_URL",
                &format!("postgres://user:{secret}@127.0.0.1:1/db"),
            )
            .start()
            .await;

        let health = deployment.visitor().get("/api/health").await;
        let details = deployment.call("GET", "/api/health", None).await;
        let token = deployment.token("gmail").await;
        let session = session("default", "default");
        let path = format!("/api/oauth/gmail/authorize?session={session}");
        let begun = deployment.visitor().get(&path).await;
        let listed = deployment.call("GET", "/api/connections", None).await;
        let page = deployment
            .request("GET", "/connect")
            .header("cookie", format!("grantkeep_session={session}"));
        let page = send(page).await;

        assert_eq!(
            (health.status, health.json()["status"].as_str()),
            (503, Some("unavailable"))
        );
        let report = &details.json()["cold_start"];
        assert!(report["database"].is_string(), "{}", details.text);
        for refused in [&token, &begun, &listed, &page] {
            assert_eq!(refused.code(), "storage_unavailable", "{}", refused.text);
            assert_ne!(refused.header("retry-after"), "");
        }
        let said = [health, details, token, begun, listed, page].map(|reply| reply.text);
        assert!(!said.concat().contains(secret));
        for ended in deployment.stop().await {
            let output = format!("{}{}", ended.stopped.stdout, ended.stopped.stderr);
            assert!(!output.contains(secret), "{output}");
            let asked = ["authorize", "connect", "connections", "health", "token"];
            let asked = asked.contains(&ended.function);
            let cold_starts = events(&ended.stopped.stdout, "cold_start");
            assert_eq!(cold_starts.len(), usize::from(asked), "{output}");
        }
    }
}
