//! What holds for the real binaries under every host: limits, cookies, and a query that
//! cannot choose the provider.

use grantkeep_runtime::test_hosts::Kind;
use grantkeep_tests::api::{KEY, session};
use grantkeep_tests::http::send;
use grantkeep_tests::{Consent, Deployment};
use serde_json::json;

use crate::steps::connect;

async fn facts_under(kind: Kind) {
    let deployment = Deployment::builder(kind).instances(1).start().await;
    a_provider_in_the_query_has_no_effect(&deployment).await;
    parameters_of_the_host_are_harmless_on_every_route(&deployment).await;
    a_body_is_read_up_to_one_mebibyte(&deployment).await;
    each_flow_has_a_cookie_of_its_own(&deployment).await;
}

async fn a_provider_in_the_query_has_no_effect(deployment: &Deployment) {
    let session = session("default", "default");
    for query in [
        "provider=evil",
        "provider=outlook",
        "provider=gmail",
        "provider=evil&provider=x",
    ] {
        let path = format!("/api/oauth/gmail/authorize?{query}&session={session}");
        let begun = deployment.visitor().get(&path).await;
        assert_eq!(begun.status, 302, "{query}: {}", begun.text);
        let redirect_uri = begun.location_parameter("redirect_uri").unwrap_or_default();
        assert!(
            redirect_uri.ends_with("/api/oauth/gmail/callback"),
            "{redirect_uri}"
        );
        let done = deployment
            .visitor()
            .connect(&path, &Consent::default())
            .await;
        assert_eq!(
            done.location_parameter("provider").as_deref(),
            Some("gmail")
        );
    }
}

async fn parameters_of_the_host_are_harmless_on_every_route(deployment: &Deployment) {
    let done = connect(deployment, "gmail", &Consent::default()).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let id = deployment.token("gmail").await.json()["connection_id"].clone();
    let id = id.as_str().unwrap_or_default();
    let appended = format!("id={id}&path=any%2Fthing&0=x&nxtPprovider=gmail");

    for path in [
        "/api/health".to_owned(),
        "/api/token?provider=gmail".to_owned(),
        "/api/connections".to_owned(),
        format!("/api/connections/{id}"),
    ] {
        let joint = if path.contains('?') { '&' } else { '?' };
        let plain = deployment.call("GET", &path, None).await;
        let answer = deployment
            .call("GET", &format!("{path}{joint}{appended}"), None)
            .await;
        assert_eq!(
            (plain.status, answer.status),
            (200, 200),
            "{path}: {}",
            answer.text
        );
    }
    let filtered = deployment
        .call("GET", &format!("/api/connections?{appended}"), None)
        .await;
    assert_eq!(
        filtered.json()["connections"].as_array().map(Vec::len),
        Some(1)
    );
    let other = "/api/connections/00000000-0000-4000-8000-000000000000";
    let other = deployment
        .call("GET", &format!("{other}?id={id}"), None)
        .await;
    assert_eq!(other.status, 404, "the path counts: {}", other.text);

    let wanted = json!({"provider": "gmail", "return_to": "https://app.test/"});
    let path = format!("/api/connect-links?{appended}");
    let link = deployment.call("POST", &path, Some(wanted)).await;
    assert_eq!(link.status, 200, "{}", link.text);
    let mut browser = deployment.visitor();
    let session = session("default", "default");
    let page = browser
        .get(&format!("/connect?session={session}&{appended}"))
        .await;
    assert_eq!(page.status, 303, "{}", page.text);
    let page = browser.get(&format!("/api/connect?{appended}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let begun = browser
        .get(&format!("/api/oauth/gmail/authorize?{appended}"))
        .await;
    let callback = browser
        .consent(begun.header("location"), &Consent::default())
        .await;
    let done = browser
        .get(&format!("{callback}&{appended}&provider=evil"))
        .await;
    assert_eq!(
        done.location_parameter("connection").as_deref(),
        Some("connected"),
        "{}",
        done.text
    );
}

async fn a_body_is_read_up_to_one_mebibyte(deployment: &Deployment) {
    let body = |length: usize| {
        let start = "{\"provider\":\"gmail\"";
        format!("{start}{}}}", " ".repeat(length - start.len() - 1))
    };
    let post = |body: String| {
        let request = deployment
            .request("POST", "/api/token")
            .bearer_auth(KEY)
            .header("content-type", "application/json");
        send(request.body(body))
    };

    let at_limit = post(body(1 << 20)).await;
    let above = post(body((1 << 20) + 1)).await;

    assert_eq!(at_limit.status, 200, "{}", at_limit.text);
    assert_eq!(
        (above.status, above.code().as_str()),
        (413, "invalid_request"),
        "{}",
        above.text
    );
}

/// Two tabs, and a session beside them: every cookie goes out and comes back.
async fn each_flow_has_a_cookie_of_its_own(deployment: &Deployment) {
    let mut browser = deployment.visitor();
    let session = session("default", "two-tabs");
    browser.get(&format!("/connect?session={session}")).await;
    let first = browser.get("/api/oauth/gmail/authorize").await;
    let second = browser.get("/api/oauth/outlook/authorize").await;
    assert_eq!(browser.cookies.len(), 3, "{:?}", browser.cookies.keys());

    for begun in [&first, &second] {
        let callback = browser
            .consent(begun.header("location"), &Consent::default())
            .await;
        let done = browser.get(&callback).await;
        assert_eq!(
            done.location_parameter("connection").as_deref(),
            Some("connected")
        );
    }

    assert_eq!(browser.cookies.len(), 1, "{:?}", browser.cookies.keys());
    let listed = browser.get("/api/connections").await.json();
    assert_eq!(listed["connections"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_cookies_and_queries_hold_on_vercel() {
    facts_under(Kind::Vercel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_cookies_and_queries_hold_on_lambda() {
    facts_under(Kind::Lambda).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_cookies_and_queries_hold_on_a_plain_port() {
    facts_under(Kind::Port).await;
}
