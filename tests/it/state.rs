//! State and callback: who may complete which authorization, how often, and what comes of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantkeep_tests::api::hash;
use grantkeep_tests::http::send;
use grantkeep_tests::{Consent, TestApi, database};

use crate::support::{
    authorize, authorize_as, connected, consented, consented_with, count, failed, get_with_cookies,
    outcome, parameter, problem, with_parameter,
};

const INVALID_STATE: &str = "invalid_state";

fn refused() -> (u16, String) {
    (400, INVALID_STATE.to_owned())
}

#[tokio::test]
async fn st01_a_callback_without_the_browsers_cookie_is_refused() {
    let api = TestApi::start().await;
    let flow = consented(&api, &authorize("gmail")).await;

    let other = api.visitor().get(&flow.callback).await;

    assert_eq!(problem(&other), refused());
    assert_eq!(api.provider.token_requests(), 0);
    assert_eq!(
        count(&api, "connection_events where type = 'callback.refused'").await,
        "1"
    );
    assert_eq!(count(&api, "oauth_tokens").await, "0");
}

#[tokio::test]
async fn st01_the_cookie_of_another_flow_does_not_help() {
    let api = TestApi::start().await;
    let attacker = consented(&api, &authorize_as("gmail", "default", "mallory")).await;
    let mut victim = consented(&api, &authorize("gmail")).await;
    let attackers_name = attacker.browser.cookies.keys().next().expect("a cookie");
    let victims_value = victim.browser.cookies.values().next().expect("a cookie");
    let renamed = format!("{attackers_name}={victims_value}");

    let with_own = victim.browser.get(&attacker.callback).await;
    let with_renamed = get_with_cookies(&api, &attacker.callback, &renamed).await;
    let own_state = parameter(&victim.callback, "state");
    let code_of_attacker = with_parameter(&attacker.callback, "state", own_state.as_deref());
    let injected = victim.browser.get(&code_of_attacker).await;

    assert_eq!(problem(&with_own), refused());
    assert_eq!(problem(&with_renamed), refused());
    // The attacker's code was made for another code challenge.
    assert_eq!(outcome(&injected), failed("provider_error"));
    assert_eq!(count(&api, "oauth_tokens").await, "0");
}

#[tokio::test]
async fn st01_the_whole_state_counts_not_only_the_name_of_its_flow() {
    let api = TestApi::start().await;
    let mut flow = consented(&api, &authorize("gmail")).await;
    let genuine = flow.callback.clone();
    let state = parameter(&genuine, "state").expect("state");
    let mut bytes = URL_SAFE_NO_PAD.decode(state).expect("base64url");

    for position in [16, 31, 47] {
        bytes[position] ^= 1;
        let altered = URL_SAFE_NO_PAD.encode(&bytes);
        let callback = flow.callback_with("state", Some(&altered));
        assert_eq!(problem(&flow.browser.get(&callback).await), refused());
        bytes[position] ^= 1;
    }

    assert_eq!(api.provider.token_requests(), 0);
    assert_eq!(outcome(&flow.browser.get(&genuine).await), connected());
}

#[tokio::test]
async fn st01_only_hashes_of_a_state_are_stored() {
    let api = TestApi::start().await;
    let flow = consented(&api, &authorize("gmail")).await;
    let state = parameter(&flow.location, "state").expect("state");

    let stored = api
        .text("select encode(state_hash, 'hex') from pending_authorizations")
        .await;
    let row = api
        .text("select row_to_json(p)::text from pending_authorizations p")
        .await;

    assert_eq!(stored, Some(hash(&state)));
    assert!(!row.expect("a row").contains(&state));
}

#[tokio::test]
async fn st02_a_callback_works_once() {
    let api = TestApi::start().await;
    let mut flow = consented(&api, &authorize("gmail")).await;
    let cookies = flow.browser.cookie_header();

    let first = flow.finish().await;
    let second = get_with_cookies(&api, &flow.callback, &cookies).await;

    assert_eq!(outcome(&first), connected());
    assert_eq!(problem(&second), refused());
    assert_eq!(api.provider.token_requests(), 1);
}

#[tokio::test]
async fn st02_of_callbacks_at_once_one_asks_for_tokens() {
    let api = TestApi::start().await;
    let flow = consented(&api, &authorize("gmail")).await;
    let cookies = flow.browser.cookie_header();
    api.provider.update(|knobs| knobs.delay_ms = 300);

    let (a, b, c) = tokio::join!(
        get_with_cookies(&api, &flow.callback, &cookies),
        get_with_cookies(&api, &flow.callback, &cookies),
        get_with_cookies(&api, &flow.callback, &cookies),
    );

    let mut statuses = [a.status, b.status, c.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 400, 400]);
    assert_eq!(api.provider.token_requests(), 1);
}

#[tokio::test]
async fn st03_a_state_is_good_for_ten_minutes_and_not_longer() {
    let api = TestApi::start().await;
    let mut flow = consented(&api, &authorize("gmail")).await;

    let left = api
        .text(
            "select ceil(extract(epoch from expires_at - now()))::text from pending_authorizations",
        )
        .await
        .expect("a row");
    let sql = "update pending_authorizations set expires_at = now() - interval '1 second'";
    database::execute(&api.database_url, sql).await;
    let late = flow.finish().await;

    assert!((590..=600).contains(&left.parse().unwrap_or(0)), "{left}");
    assert_eq!(problem(&late), refused());
    assert_eq!(api.provider.token_requests(), 0);
}

#[tokio::test]
async fn st03_unknown_malformed_and_huge_states_get_the_same_answer() {
    let api = TestApi::start().await;
    let flow = consented(&api, &authorize("gmail")).await;
    let unknown = URL_SAFE_NO_PAD.encode([7; 48]);
    let cookies = flow.browser.cookie_header();

    let mut bodies = Vec::new();
    for state in [&unknown, "x", "%00", &"a".repeat(10_240), "' or 1=1 --"] {
        let callback = flow.callback_with("state", Some(state));
        let reply = get_with_cookies(&api, &callback, &cookies).await;
        assert_eq!(problem(&reply), refused(), "{state}");
        bodies.push(reply.text);
    }

    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(api.provider.token_requests(), 0);
}

#[tokio::test]
async fn st04_a_state_is_good_for_its_own_provider_only() {
    let api = TestApi::start().await;
    let flow = consented(&api, &authorize("gmail")).await;
    let elsewhere = flow
        .callback
        .replace("/oauth/gmail/", "/oauth/google_calendar/");

    let reply = get_with_cookies(&api, &elsewhere, &flow.browser.cookie_header()).await;

    assert_eq!(problem(&reply), refused());
    assert_eq!(api.provider.token_requests(), 0);
}

#[tokio::test]
async fn st05_an_answer_of_another_issuer_is_refused() {
    let api = TestApi::start().await;
    let mut flow = consented(&api, &authorize("gmail")).await;
    flow.callback = flow.callback_with("iss", Some("https://other.example"));

    let reply = flow.finish().await;

    assert_eq!(outcome(&reply), failed(INVALID_STATE));
    assert_eq!(api.provider.token_requests(), 0);
}

#[tokio::test]
async fn st05_an_issuer_that_promises_to_name_itself_has_to() {
    let promise = serde_json::json!({"authorization_response_iss_parameter_supported": true});
    let api = TestApi::builder().provider("gmail", promise).start().await;

    let with = consented(&api, &authorize("gmail")).await.finish().await;
    api.provider.update(|knobs| knobs.send_iss = false);
    let without = consented(&api, &authorize("gmail")).await.finish().await;

    assert_eq!(outcome(&with), connected());
    assert_eq!(outcome(&without), failed(INVALID_STATE));
    assert_eq!(api.provider.token_requests(), 1);
}

#[tokio::test]
async fn st05_a_provider_without_issuer_may_name_one() {
    let without = serde_json::json!({
        "issuer": null, "jwks_uri": null, "id_token_issuers": [], "account": {"source": "userinfo"},
    });
    let api = TestApi::builder().provider("gmail", without).start().await;
    let mut flow = consented(&api, &authorize("gmail")).await;
    flow.callback = flow.callback_with("iss", Some("https://whatever.example"));

    assert_eq!(outcome(&flow.finish().await), connected());
}

#[tokio::test]
async fn st06_saying_no_leaves_a_live_connection_alive() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let before = api.token("gmail").await.json();

    let mut flow = consented_with(&api, &authorize("gmail"), &Consent::deny()).await;
    let cookies = flow.browser.cookie_header();
    let denied = flow.finish().await;
    let again = get_with_cookies(&api, &flow.callback, &cookies).await;

    assert_eq!(outcome(&denied), failed("access_denied"));
    assert_eq!(problem(&again), refused());
    assert_eq!(
        api.token("gmail").await.json()["access_token"],
        before["access_token"]
    );
}

#[tokio::test]
async fn st06_other_errors_become_provider_error_and_descriptions_go_nowhere() {
    let api = TestApi::start().await;
    for error in [
        "server_error",
        "<script>alert(1)</script>",
        "a\u{0}b\r\nc",
        "access_denied2",
    ] {
        let mut flow = consented(&api, &authorize("gmail")).await;
        let with_error = with_parameter(&flow.callback, "code", None);
        let with_error = with_parameter(&with_error, "error", Some(error));
        let description = "<b>https://evil.test</b>";
        flow.callback = with_parameter(&with_error, "error_description", Some(description));

        let reply = flow.finish().await;

        assert_eq!(outcome(&reply), failed("provider_error"), "{error}");
        assert!(!reply.header("location").contains("evil"), "{error}");
        assert!(!reply.header("location").contains("script"), "{error}");
    }
    assert_eq!(api.provider.token_requests(), 0);
}

#[tokio::test]
async fn st06_nothing_of_an_address_becomes_html() {
    let api = TestApi::start().await;
    let evil = "%3Cscript%3Ealert(1)%3C/script%3E%22%27%3E";
    for path in [
        format!("/connect?connection=connected&provider={evil}&account={evil}"),
        format!("/connect?connection=error&error={evil}&error_description={evil}"),
        format!("/api/connect?connection=insufficient_scope&provider=gmail&missing_scope={evil}"),
        format!("/connect?connection={evil}"),
        format!("/api/oauth/gmail/callback?state={evil}&error={evil}&error_description={evil}"),
        format!("/api/oauth/{}/authorize", "%3Cscript%3E"),
    ] {
        let request = api.request("GET", &path).header("accept", "text/html");
        let page = send(request).await;

        assert!(
            page.header("content-type").starts_with("text/html"),
            "{path}"
        );
        assert!(!page.text.contains("<script"), "{path}: {}", page.text);
        assert!(!page.text.contains("alert(1)</"), "{path}: {}", page.text);
    }
}

#[tokio::test]
async fn st07_an_error_beside_a_code_is_an_error() {
    let api = TestApi::start().await;
    let mut flow = consented(&api, &authorize("gmail")).await;
    flow.callback = flow.callback_with("error", Some("access_denied"));

    assert_eq!(outcome(&flow.finish().await), failed("access_denied"));
    assert_eq!(api.provider.token_requests(), 0);
}

#[tokio::test]
async fn st07_doubled_parameters_and_neither_code_nor_error_are_refused() {
    let api = TestApi::start().await;
    let mut flow = consented(&api, &authorize("gmail")).await;
    let genuine = flow.callback.clone();
    let state = parameter(&genuine, "state").expect("state");

    let mut answers = Vec::new();
    for callback in [
        format!("{genuine}&state={state}"),
        format!("{genuine}&code=another"),
        format!("{genuine}&error=x&error=y"),
        flow.callback_with("code", None),
        flow.callback_with("code", Some("")),
    ] {
        answers.push(problem(&flow.browser.get(&callback).await));
    }

    assert_eq!(answers, vec![(400, "invalid_request".to_owned()); 5]);
    assert_eq!(api.provider.token_requests(), 0);
    // A malformed answer does not use the sign-in up.
    assert_eq!(outcome(&flow.browser.get(&genuine).await), connected());
}

#[tokio::test]
async fn st08_a_callback_without_state_is_refused_even_with_a_code() {
    let api = TestApi::start().await;
    let flow = consented(&api, &authorize("gmail")).await;

    for state in [None, Some("")] {
        let callback = flow.callback_with("state", state);
        let reply = get_with_cookies(&api, &callback, &flow.browser.cookie_header()).await;

        assert_eq!(problem(&reply), refused());
    }
    assert_eq!(api.provider.token_requests(), 0);
}

#[tokio::test]
async fn st09_a_code_in_json_is_not_taken() {
    let api = TestApi::start().await;
    let flow = consented(&api, &authorize("gmail")).await;
    let body = serde_json::json!({
        "code": parameter(&flow.callback, "code"),
        "state": parameter(&flow.callback, "state"),
    });

    let mut answers = Vec::new();
    for kind in ["application/json", "text/plain"] {
        let request = api
            .request("POST", "/api/oauth/gmail/callback")
            .header("cookie", flow.browser.cookie_header())
            .header("content-type", kind)
            .body(body.to_string());
        answers.push(send(request).await.status);
    }

    assert_eq!(answers, [415, 415]);
    assert_eq!(api.provider.token_requests(), 0);
}
