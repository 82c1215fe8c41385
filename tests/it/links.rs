//! Connect links and the confirmation of what they made, and `/api/health`.

use grantkeep_core::App;
use grantkeep_core::settings::Settings;
use grantkeep_functions::{routes, service};
use grantkeep_tests::api::{ACME_KEY, KEY, session};
use grantkeep_tests::http::send;
use grantkeep_tests::instance::{self, Served};
use grantkeep_tests::{Consent, Reply, TestApi, database};
use serde_json::{Value, json};

use crate::support::{
    READONLY, SEND, connected, connection_id, consented, count, outcome, parameter, problem, text,
};

fn not_connected() -> (u16, String) {
    (404, "not_connected".to_owned())
}

async fn link(api: &TestApi, ask: Value) -> String {
    let reply = api.send_json("POST", "/api/connect-links", &ask).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    text(&reply.json()["url"])
}

/// A link for `ada` was completed by somebody; the callback's answer.
async fn pending(api: &TestApi) -> Reply {
    let ask = json!({"provider": "gmail", "actor": "ada", "return_to": "https://app.test/done"});
    let url = link(api, ask).await;
    api.visitor().connect(&url, &Consent::default()).await
}

async fn confirm(api: &TestApi, id: &str) -> Reply {
    let path = format!("/api/connections/{id}");
    api.send_json("PATCH", &path, &json!({"status": "active"}))
        .await
}

async fn read(api: &TestApi) -> Reply {
    api.get("/api/token?provider=gmail&actor=ada").await
}

#[tokio::test]
async fn a_link_leads_to_the_provider_for_ten_minutes() {
    let api = TestApi::start().await;
    let ask = json!({"provider": "gmail", "actor": "ada", "scope": SEND, "return_to": "/done"});

    let reply = api.send_json("POST", "/api/connect-links", &ask).await;
    let flow = consented(&api, &text(&reply.json()["url"])).await;

    let json = reply.json();
    assert_eq!(json.as_object().map(|o| o.len()), Some(2));
    assert!(
        text(&json["url"]).starts_with(&format!("{}/api/oauth/gmail/authorize?link=", api.origin))
    );
    let expires_at = chrono::DateTime::parse_from_rfc3339(&text(&json["expires_at"]));
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock")
        .as_secs();
    let left = expires_at.expect("RFC 3339").timestamp() - i64::try_from(now).expect("a time");
    assert!((590..=601).contains(&left), "{left}");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(parameter(&flow.location, "scope").is_some_and(|scope| scope.contains(SEND)));
}

#[tokio::test]
async fn a_link_that_is_older_than_ten_minutes_has_expired() {
    let api = TestApi::start().await;
    let url = link(&api, json!({"provider": "gmail"})).await;
    let variables = &api.variables;
    let settings = Settings::read(&[], &|name| variables.get(name).cloned());
    let later = App::with_clock(settings.expect("settings"), || {
        chrono::Utc::now() + chrono::TimeDelta::seconds(601)
    });
    let later = Served::start(service::all(&routes::FUNCTIONS, later.expect("an app"))).await;

    let good = api.visitor().get(&url).await;
    let late = instance::get(&later.origin, api.local(&url)).await;

    assert_eq!(good.status, 302, "{}", good.text);
    assert_eq!(problem(&late), (400, "invalid_state".to_owned()));
    assert!(text(&late.json()["detail"]).contains("expired"));
}

#[tokio::test]
async fn st03_a_flow_cookie_is_not_believed_after_ten_minutes_either() {
    let api = TestApi::start().await;
    let flow = consented(&api, &crate::support::authorize("gmail")).await;
    let later = "update pending_authorizations set expires_at = now() + interval '1 hour'";
    database::execute(&api.database_url, later).await;
    let variables = &api.variables;
    let settings = Settings::read(&[], &|name| variables.get(name).cloned());
    let later = App::with_clock(settings.expect("settings"), || {
        chrono::Utc::now() + chrono::TimeDelta::seconds(601)
    });
    let later = Served::start(service::all(&routes::FUNCTIONS, later.expect("an app"))).await;

    let request = grantkeep_tests::http::client()
        .get(format!("{}{}", later.origin, api.local(&flow.callback)))
        .header("cookie", flow.browser.cookie_header());
    let late = send(request).await;

    assert_eq!(problem(&late), (400, "invalid_state".to_owned()));
    assert_eq!(api.provider.token_requests(), 0);
}

#[tokio::test]
async fn a_pending_connection_gives_a_token_only_after_the_application_confirmed() {
    let api = TestApi::start().await;

    let done = pending(&api).await;
    let id = done.location_parameter("connection_id").expect("an id");
    let before = read(&api).await;
    let shown = api.get(&format!("/api/connections/{id}")).await.json();
    let confirmed = confirm(&api, &id).await;
    let after = read(&api).await;
    let twice = confirm(&api, &id).await;

    assert!(
        done.header("location")
            .starts_with("https://app.test/done?connection=pending")
    );
    assert_eq!(problem(&before), not_connected());
    assert_eq!(shown["status"], "pending");
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    assert_eq!(confirmed.json()["status"], "active");
    assert_eq!(confirmed.json()["id"], id.as_str());
    assert!(
        confirmed.json()["scopes"]
            .as_array()
            .is_some_and(|s| s.contains(&json!(READONLY)))
    );
    assert_eq!(
        (after.status, &after.json()["connection_id"]),
        (200, &json!(id))
    );
    assert_eq!(twice.json()["status"], "active");
}

#[tokio::test]
async fn what_is_not_confirmed_within_ten_minutes_is_forgotten() {
    let api = TestApi::start().await;
    let done = pending(&api).await;
    let id = done.location_parameter("connection_id").expect("an id");
    let left = "select ceil(extract(epoch from pending_until - now()))::text from oauth_tokens";
    let left = api
        .text(left)
        .await
        .and_then(|text| text.parse::<i64>().ok());
    let late = "update oauth_tokens set pending_until = now() - interval '1 second'";
    database::execute(&api.database_url, late).await;

    let confirmed = confirm(&api, &id).await;
    let shown = api.get(&format!("/api/connections/{id}")).await;
    let listed = api.get("/api/connections?actor=ada").await;

    assert!(
        left.is_some_and(|left| (590..=600).contains(&left)),
        "{left:?}"
    );
    assert_eq!(
        (problem(&confirmed), problem(&shown)),
        (not_connected(), not_connected())
    );
    assert_eq!(listed.json()["connections"], json!([]));
    assert_eq!(problem(&read(&api).await), not_connected());
    // The next one sweeps it away.
    let ask = json!({"provider": "gmail", "actor": "bea"});
    let url = link(&api, ask).await;
    api.visitor().connect(&url, &Consent::default()).await;
    assert_eq!(
        count(&api, "oauth_tokens where actor_id = 'ada'").await,
        "0"
    );
}

#[tokio::test]
async fn a_live_connection_works_on_while_a_new_grant_waits() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let before = api.token("gmail").await.json();
    let url = link(&api, json!({"provider": "gmail", "scope": SEND})).await;

    let done = api.visitor().connect(&url, &Consent::default()).await;
    let meanwhile = api.token("gmail").await.json();
    let id = done.location_parameter("connection_id").expect("an id");
    confirm(&api, &id).await;
    let after = api
        .get(&format!("/api/token?provider=gmail&scope={SEND}"))
        .await;

    assert_eq!(meanwhile["access_token"], before["access_token"]);
    assert_eq!(before["connection_id"], id.as_str());
    assert_eq!(after.status, 200, "{}", after.text);
    assert_ne!(after.json()["access_token"], before["access_token"]);
}

#[tokio::test]
async fn without_confirm_a_link_connects_at_once() {
    let api = TestApi::start().await;
    let url = link(
        &api,
        json!({"provider": "gmail", "actor": "ada", "confirm": false}),
    )
    .await;

    let done = api.visitor().connect(&url, &Consent::default()).await;

    assert_eq!(outcome(&done), connected());
    assert_eq!(read(&api).await.status, 200);
}

#[tokio::test]
async fn only_active_can_be_asked_for_and_only_by_a_key() {
    let api = TestApi::start().await;
    let done = pending(&api).await;
    let id = done.location_parameter("connection_id").expect("an id");
    let path = format!("/api/connections/{id}");

    for body in [
        json!({"status": "pending"}),
        json!({"status": 1}),
        json!({}),
        json!([]),
    ] {
        let refused = api.send_json("PATCH", &path, &body).await;
        assert_eq!(
            problem(&refused),
            (400, "invalid_request".to_owned()),
            "{body}"
        );
    }
    for bearer in [session("default", "ada"), "gk_wrong".to_owned()] {
        let request = api
            .request("PATCH", &path)
            .header("authorization", format!("Bearer {bearer}"))
            .header("content-type", "application/json")
            .body("{\"status\":\"active\"}");
        assert_eq!(
            problem(&send(request).await),
            (401, "unauthorized".to_owned())
        );
    }
    assert_eq!(problem(&read(&api).await), not_connected());
}

#[tokio::test]
async fn a_dead_connection_cannot_be_confirmed_alive() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let id = connection_id(&api, "gmail").await;
    api.provider.kill_grants();
    api.set_expiry("gmail", -1).await;
    api.token("gmail").await;

    let confirmed = confirm(&api, &id).await;

    assert_eq!(problem(&confirmed), (400, "invalid_request".to_owned()));
    assert_eq!(api.token("gmail").await.status, 409);
}

#[tokio::test]
async fn health_tells_anyone_whether_and_a_key_how() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    let public = send(api.request("GET", "/api/health")).await;
    let detailed = api.get_as(KEY, "/api/health").await;
    let wrong = api.get_as("gk_wrong", "/api/health").await;

    assert_eq!(
        (public.status, &public.json()["status"]),
        (200, &json!("ok"))
    );
    let members: Vec<String> = match public.json() {
        Value::Object(members) => members.keys().cloned().collect(),
        other => panic!("{other}"),
    };
    assert_eq!(members, ["status", "version"]);
    let json = detailed.json();
    assert_eq!(json["database"]["reachable"], true);
    assert_eq!(json["connections"], json!({"active": 1}));
    assert_eq!(json["cache"]["configured"], false);
    assert_eq!(json["oldest_failing_refresh"], Value::Null);
    assert!(
        json["cold_start"].is_object() || json["cold_start"].is_array(),
        "{json}"
    );
    assert_eq!(
        json["encryption"]["key_ids"][0],
        json["encryption"]["primary_key_id"]
    );
    assert_eq!(problem(&wrong), (401, "unauthorized".to_owned()));
}

#[tokio::test]
async fn tn01_health_counts_only_what_a_key_reaches() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    let everywhere = api.get("/api/health").await.json();
    let elsewhere = api.get_as(ACME_KEY, "/api/health").await.json();

    assert_eq!(everywhere["connections"], serde_json::json!({"active": 1}));
    assert_eq!(elsewhere["connections"], serde_json::json!({}));
}
