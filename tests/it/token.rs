//! `/api/token`: what it answers, in which format, and when it refreshes.

use std::sync::Arc;

use grantkeep_demo_provider::client::{DEMO_CLIENT_ID, DEMO_CLIENT_SECRET};
use grantkeep_tests::api::{KEY, READ_KEY};
use grantkeep_tests::{Consent, Reply, TestApi, database};
use serde_json::{Value, json};

use crate::support::{READONLY, SEND, authorize_as, consented, problem, text};

async fn reject(api: &TestApi, token: &Value) -> Reply {
    let body = json!({"provider": "gmail", "rejected": token});
    api.send_json("POST", "/api/token", &body).await
}

/// A token read after one refresh, and the refresh token that the refresh used.
async fn refreshed(api: &TestApi) -> (Reply, String) {
    api.connect("gmail").await;
    api.set_expiry("gmail", -1).await;
    let reply = api.token("gmail").await;
    let requests = api.provider.requests();
    let used = requests
        .iter()
        .find_map(|request| request.parameter("refresh_token"))
        .expect("a refresh");
    (reply, used.to_owned())
}

#[tokio::test]
async fn tk01_an_answer_has_these_members_and_no_refresh_token() {
    let api = TestApi::start().await;
    let (reply, refresh_token) = refreshed(&api).await;

    let members: Vec<String> = match reply.json() {
        Value::Object(members) => members.keys().cloned().collect(),
        other => panic!("{other}"),
    };

    let mut expected = [
        "access_token",
        "token_type",
        "expires_in",
        "expires_at",
        "scope",
        "connection_id",
        "provider",
        "workspace",
        "actor",
        "account",
        "persisted",
    ];
    expected.sort_unstable();
    assert_eq!(members, expected);
    for secret in [&refresh_token, DEMO_CLIENT_SECRET] {
        assert!(!reply.text.contains(secret));
    }
    let token = reply.json();
    assert_eq!(token["token_type"], "Bearer");
    assert_eq!(
        [
            &token["provider"],
            &token["workspace"],
            &token["actor"],
            &token["account"]
        ],
        ["gmail", "default", "default", "alice@example.test"]
    );
    assert!((3_500..=3_599).contains(&token["expires_in"].as_i64().unwrap_or(0)));
    let expires_at = chrono::DateTime::parse_from_rfc3339(&text(&token["expires_at"]));
    let left = expires_at.expect("RFC 3339").timestamp() - now();
    assert!((3_490..=3_600).contains(&left), "{left}");
    assert!(
        text(&token["scope"])
            .split(' ')
            .any(|scope| scope == READONLY)
    );
    assert_eq!(token["persisted"], true);
}

fn now() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock");
    i64::try_from(since.as_secs()).expect("a time")
}

#[tokio::test]
async fn tk01_authorized_user_has_secrets_only_for_a_key_that_may_export() {
    let api = TestApi::start().await;
    let (reply, refresh_token) = refreshed(&api).await;
    let path = "/api/token?provider=gmail&format=authorized_user";

    let with = api.get_as(KEY, path).await;
    let without = api.get_as(READ_KEY, path).await;
    let posted = json!({"provider": "gmail", "format": "authorized_user"});
    let posted = api.send_json("POST", "/api/token", &posted).await;

    assert_eq!(with.header("cache-control"), "no-store");
    let (with, without) = (with.json(), without.json());
    assert_eq!(with, posted.json());
    assert_eq!(with["refresh_token"], refresh_token.as_str());
    assert_eq!(with["client_secret"], DEMO_CLIENT_SECRET);
    for secret in ["refresh_token", "client_secret", "id_token"] {
        assert_eq!(without.get(secret), None, "{secret}");
    }
    for json in [&with, &without] {
        assert_eq!(json["type"], "authorized_user");
        assert_eq!(json["token"], reply.json()["access_token"]);
        assert_eq!(json["client_id"], DEMO_CLIENT_ID);
        assert_eq!(
            json["token_uri"],
            format!("{}/token", api.provider.origin())
        );
        assert!(
            json["scopes"]
                .as_array()
                .is_some_and(|s| s.contains(&json!(READONLY)))
        );
        // The form that google-auth's reader takes, which reads no offset.
        let expiry = text(&json["expiry"]);
        let parsed = chrono::NaiveDateTime::parse_from_str(&expiry, "%Y-%m-%dT%H:%M:%S%.6fZ");
        assert!(parsed.is_ok() && expiry.len() == 27, "{expiry}");
    }
}

#[tokio::test]
async fn tk02_an_answer_is_stored_and_compressed_by_nobody() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    let request = api
        .request("GET", "/api/token?provider=gmail")
        .header("authorization", format!("Bearer {KEY}"))
        .header("accept-encoding", "gzip, br, zstd, deflate")
        .header("origin", "https://app.test");
    let found = grantkeep_tests::http::send(request).await;
    let missing = api.token("outlook").await;

    assert_eq!((found.status, missing.status), (200, 404));
    assert_eq!(found.header("content-type"), "application/json");
    for reply in [&found, &missing] {
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("pragma"), "no-cache");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        for absent in [
            "etag",
            "content-encoding",
            "access-control-allow-origin",
            "location",
        ] {
            assert!(!reply.headers.contains_key(absent), "{absent}");
        }
    }
}

#[tokio::test]
async fn several_accounts_have_to_be_named() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.connect_with("gmail", &Consent::of("bob@example.test"))
        .await;

    let unnamed = api.token("gmail").await;
    let bob = api
        .get("/api/token?provider=gmail&account=bob@example.test")
        .await;
    let nobody = api
        .get("/api/token?provider=gmail&account=eve@example.test")
        .await;

    assert_eq!(problem(&unnamed), (409, "ambiguous_account".to_owned()));
    let mut accounts: Vec<String> = unnamed.json()["accounts"]
        .as_array()
        .map(|accounts| accounts.iter().map(text).collect())
        .unwrap_or_default();
    accounts.sort();
    assert_eq!(accounts, ["alice@example.test", "bob@example.test"]);
    assert_eq!(bob.json()["account"], "bob@example.test");
    assert_eq!(problem(&nobody), (404, "not_connected".to_owned()));
}

#[tokio::test]
async fn a_missing_connection_comes_with_the_address_that_makes_it() {
    let api = TestApi::start().await;

    let reply = api.token("gmail").await;

    assert_eq!(problem(&reply), (404, "not_connected".to_owned()));
    assert_eq!(
        reply.json()["connect_url"],
        format!("{}/api/oauth/gmail/authorize", api.origin)
    );
}

#[tokio::test]
async fn a_dead_grant_says_why_since_when_and_how_to_mend_it() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.provider.kill_grants();
    api.set_expiry("gmail", -1).await;

    let first = api.token("gmail").await;
    let second = api.token("gmail").await;

    for reply in [&first, &second] {
        assert_eq!(problem(reply), (409, "reauthorization_required".to_owned()));
        let json = reply.json();
        assert_eq!(json["reason"], "invalid_grant");
        let since = chrono::DateTime::parse_from_rfc3339(&text(&json["since"]));
        assert!((now() - since.expect("RFC 3339").timestamp()).abs() < 60);
        let url = text(&json["connect_url"]);
        assert!(url.starts_with(&api.origin) && url.contains("account=alice%40example.test"));
    }
    // No more attempts once it is known.
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn a_provider_that_is_down_is_not_a_dead_grant() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.set_expiry("gmail", -1).await;
    api.provider.update(|knobs| {
        knobs.token_status = Some(429);
        knobs.retry_after = Some("30".to_owned());
    });

    let reply = api.token("gmail").await;

    assert_eq!(problem(&reply), (503, "provider_unavailable".to_owned()));
    let wait: u64 = reply.header("retry-after").parse().unwrap_or(0);
    assert!((29..=31).contains(&wait), "{wait}");
    let status = api.text("select status from oauth_tokens").await;
    assert_eq!(status.as_deref(), Some("active"));
}

#[tokio::test]
async fn a_herd_with_a_rejected_token_causes_one_refresh() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let rejected = api.token("gmail").await.json()["access_token"].clone();
    api.provider.expire_access_tokens();
    api.provider.update(|knobs| knobs.delay_ms = 200);

    let api = Arc::new(api);
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (api, rejected) = (Arc::clone(&api), rejected.clone());
            tokio::spawn(async move { reject(&api, &rejected).await })
        })
        .collect();
    let mut answers = Vec::new();
    for caller in callers {
        answers.push(caller.await.expect("an answer"));
    }

    let tokens: Vec<Value> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{}", answer.text);
            answer.json()["access_token"].clone()
        })
        .collect();
    assert!(
        tokens
            .iter()
            .all(|token| *token == tokens[0] && *token != rejected)
    );
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn a_token_that_is_not_the_stored_one_is_no_reason_to_refresh() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let current = api.token("gmail").await.json()["access_token"].clone();

    let reply = reject(&api, &json!("ya29.somebody-elses")).await;
    let without = json!({"provider": "gmail"});
    let without = api.send_json("POST", "/api/token", &without).await;

    assert_eq!(reply.json()["access_token"], current);
    assert_eq!(without.json()["access_token"], current);
    assert_eq!(api.provider.refresh_requests(), 0);
}

#[tokio::test]
async fn refreshes_on_demand_are_limited() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let first = api.token("gmail").await.json()["access_token"].clone();
    let second = reject(&api, &first).await.json()["access_token"].clone();

    let again = reject(&api, &second).await;

    assert_eq!(problem(&again), (503, "provider_unavailable".to_owned()));
    assert!(!again.header("retry-after").is_empty());
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn a_rejected_token_does_not_go_into_a_url() {
    let api = TestApi::start().await;

    let reply = api
        .get("/api/token?provider=gmail&rejected=ya29.canary")
        .await;

    assert_eq!(problem(&reply), (400, "invalid_request".to_owned()));
    assert!(!reply.text.contains("canary"));
}

#[tokio::test]
async fn a_post_answers_what_a_get_does() {
    let api = TestApi::start().await;
    let done = consented(&api, &authorize_as("gmail", "acme", "ada"))
        .await
        .finish()
        .await;
    assert_eq!(done.status, 303);

    let got = api
        .get(&format!(
            "/api/token?provider=gmail&workspace=acme&actor=ada&scope={READONLY}"
        ))
        .await;
    let body = json!({
        "provider": "gmail", "workspace": "acme", "actor": "ada",
        "account": "alice@example.test", "scope": READONLY,
    });
    let posted = api.send_json("POST", "/api/token", &body).await;
    let missing = json!({"provider": "gmail", "workspace": "acme", "actor": "ada", "scope": SEND});
    let missing = api.send_json("POST", "/api/token", &missing).await;

    assert_eq!(got.json()["access_token"], posted.json()["access_token"]);
    assert_eq!(got.json()["workspace"], "acme");
    assert_eq!(problem(&missing), (403, "insufficient_scope".to_owned()));
}

#[tokio::test]
async fn rf10_a_token_that_ends_too_soon_for_the_caller_is_refreshed_once() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let sql = "update oauth_tokens set expires_at = now() + interval '20 minutes',
                      status_since = now() - interval '40 minutes'";
    database::execute(&api.database_url, sql).await;

    let enough = api.get("/api/token?provider=gmail&min_ttl=600").await;
    let short = api.get("/api/token?provider=gmail&min_ttl=1800").await;
    let impossible = api.get("/api/token?provider=gmail&min_ttl=86400").await;
    let malformed = api.get("/api/token?provider=gmail&min_ttl=soon").await;

    assert_eq!(
        (enough.status, short.status, impossible.status),
        (200, 200, 200)
    );
    assert_ne!(short.json()["access_token"], enough.json()["access_token"]);
    assert_eq!(
        impossible.json()["access_token"],
        short.json()["access_token"]
    );
    assert_eq!(api.provider.refresh_requests(), 1);
    assert_eq!(
        (malformed.status, malformed.code().as_str()),
        (400, "invalid_request")
    );
}
