//! Real answers fit `docs/openapi.json`: statuses, content types, every member.

use std::collections::BTreeSet;

use grantkeep_demo_provider::client::DEMO_CLIENT_ID;
use grantkeep_tests::api::{ACME_KEY, CRON_SECRET, KEY, READ_KEY, session};
use grantkeep_tests::http::send;
use grantkeep_tests::{Consent, Reply, TestApi, database};
use serde_json::{Value, json};

use crate::project::openapi;
use crate::schema::{misfits, resolve};

const READONLY: &str = "https://www.googleapis.com/auth/gmail.readonly";
const SEND: &str = "https://www.googleapis.com/auth/gmail.send";

/// Checks an answer of one operation; answers its problem's code, empty without one.
pub fn documented(document: &Value, operation: &str, reply: &Reply) -> String {
    let (method, path) = operation.split_once(' ').expect("METHOD path");
    let operation = &document["paths"][path][method.to_ascii_lowercase()];
    let status = reply.status.to_string();
    let place = format!("{method} {path} {status}: {}", reply.text);
    let response = operation["responses"].get(&status);
    let response = resolve(document, response.unwrap_or_else(|| panic!("{place}")));

    let kind = reply.header("content-type");
    let kind = kind.split(';').next().unwrap_or_default();
    match (response.get("content"), kind) {
        (None, _) => assert!(reply.text.is_empty(), "{place}"),
        (Some(content), kind) => {
            let media = content
                .get(kind)
                .unwrap_or_else(|| panic!("{kind} {place}"));
            if let Some(schema) = media.get("schema") {
                let found = misfits(document, schema, &reply.json());
                assert!(found.is_empty(), "{place}: {found:?}");
            }
        }
    }
    for name in response["headers"]
        .as_object()
        .into_iter()
        .flat_map(|h| h.keys())
    {
        assert!(!reply.header(name).is_empty(), "no {name}: {place}");
    }
    let code = reply.code();
    if !code.is_empty() {
        let codes = response["description"].as_str().unwrap_or_default();
        assert!(codes.contains(&format!("`{code}`")), "{codes} {place}");
        assert_eq!(reply.json()["type"], format!("urn:grantkeep:error:{code}"));
    }
    code
}

fn id(reply: &Reply) -> String {
    let id = &reply.json()["connection_id"];
    id.as_str()
        .unwrap_or_else(|| panic!("{}", reply.text))
        .to_owned()
}

#[tokio::test]
async fn successes_are_as_documented() {
    let document = openapi();
    let ok = |operation: &str, reply: &Reply| {
        let code = documented(&document, operation, reply);
        assert_eq!(code, "", "{operation}: {}", reply.text);
    };
    let api = TestApi::start().await;
    let mut visitor = api.visitor();
    let session = session("default", "default");
    let begin = format!("/api/oauth/gmail/authorize?session={session}&return_to=/done");

    let begun = visitor.get(&begin).await;
    ok("GET /api/oauth/{provider}/authorize", &begun);
    let callback = visitor
        .consent(begun.header("location"), &Consent::default())
        .await;
    ok(
        "GET /api/oauth/{provider}/callback",
        &visitor.get(&callback).await,
    );
    ok(
        "GET /connect",
        &visitor.get(&format!("/connect?session={session}")).await,
    );
    ok("GET /connect", &visitor.get("/connect").await);
    ok("GET /api/connect", &visitor.get("/api/connect").await);

    let token = api.token("gmail").await;
    ok("GET /api/token", &token);
    let user = "/api/token?provider=gmail&format=authorized_user";
    ok("GET /api/token", &api.get(user).await);
    ok("GET /api/token", &api.get_as(READ_KEY, user).await);
    let rejected = json!({"provider": "gmail", "rejected": "another", "mode": "strict"});
    ok(
        "POST /api/token",
        &api.send_json("POST", "/api/token", &rejected).await,
    );
    let page = api.get("/api/connections?limit=1&provider=gmail").await;
    ok("GET /api/connections", &page);
    assert_eq!(page.json()["connections"].as_array().map(Vec::len), Some(1));
    let path = format!("/api/connections/{}", id(&token));
    ok("GET /api/connections/{id}", &api.get(&path).await);
    ok(
        "GET /api/health",
        &send(api.request("GET", "/api/health")).await,
    );
    ok("GET /api/health", &api.get("/api/health").await);

    let ask = json!({"provider": "outlook", "return_to": "https://app.test/done"});
    let link = api.send_json("POST", "/api/connect-links", &ask).await;
    ok("POST /api/connect-links", &link);
    let tokens = api
        .provider
        .issue("bob@example.test", DEMO_CLIENT_ID, READONLY);
    let refresh_token = tokens.expect("an account").refresh_token;
    let file = json!({"provider": "google_calendar", "actor": "importer", "verify": true,
                      "refresh_token": refresh_token, "scope": READONLY});
    for status in [201, 200] {
        let imported = api.send_json("POST", "/api/connections", &file).await;
        ok("POST /api/connections", &imported);
        assert_eq!(imported.status, status, "{}", imported.text);
    }
    let link = link.json()["url"].as_str().unwrap_or_default().to_owned();
    let back = api.visitor().connect(&link, &Consent::default()).await;
    ok("GET /api/oauth/{provider}/callback", &back);
    let pending = back.location_parameter("connection_id").unwrap_or_default();
    let path = format!("/api/connections/{pending}");
    ok("GET /api/connections/{id}", &api.get(&path).await);
    let active = api
        .send_json("PATCH", &path, &json!({"status": "active"}))
        .await;
    ok("PATCH /api/connections/{id}", &active);
    ok("DELETE /api/connections/{id}", &api.delete(&path).await);
    api.connect_more("gmail", "https://www.googleapis.com/auth/gmail.send")
        .await;
    let message = json!({
        "provider": "gmail", "to": "bob@example.test", "subject": "Your offer", "text": "Yes.",
        "idempotency_key": "offer-1",
    });
    let sent = api.send_json("POST", "/api/gmail/send", &message).await;
    ok("POST /api/gmail/send", &sent);
    let run = api.get_as(CRON_SECRET, "/api/cron/refresh").await;
    ok("GET /api/cron/refresh", &run);
    let ask = json!({"provider": "gmail", "sender": "alice@example.test"});
    for status in [201, 200] {
        let watch = api.send_json("POST", "/api/gmail/watches", &ask).await;
        ok("POST /api/gmail/watches", &watch);
        assert_eq!(watch.status, status, "{}", watch.text);
    }
    let run = api.get_as(CRON_SECRET, "/api/cron/poll").await;
    ok("GET /api/cron/poll", &run);
    let batch = api
        .request("POST", "/api/cron/poll?limit=1")
        .header("authorization", format!("Bearer {CRON_SECRET}"));
    ok("POST /api/cron/poll", &send(batch).await);
    let watches = api.get("/api/gmail/watches").await;
    ok("GET /api/gmail/watches", &watches);
    let messages = api.get("/api/gmail/messages?limit=1").await;
    ok("GET /api/gmail/messages", &messages);
    assert!(messages.json()["messages"][0]["subject"].is_string());
    let watches = watches.json();
    let watch_id = watches["watches"][0]["id"].as_str().unwrap_or_default();
    let gone = format!("/api/gmail/watches?id={watch_id}");
    ok("DELETE /api/gmail/watches", &api.delete(&gone).await);

    let form = [("disconnect", id(&token))];
    let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (*n, v.as_str())).collect();
    ok("POST /connect", &visitor.post_form("/connect", &form).await);
    ok(
        "POST /connect",
        &visitor.post_form("/connect", &[("sign_out", "yes")]).await,
    );
}

/// Collects the codes of answers that fit the document.
struct Codes {
    document: Value,
    seen: BTreeSet<String>,
}

impl Codes {
    fn add(&mut self, operation: &str, reply: &Reply, expected: &str) {
        let code = documented(&self.document, operation, reply);
        assert_eq!(code, expected, "{operation}: {}", reply.text);
        self.seen.insert(code);
    }

    /// Of a callback that tells the application what went wrong.
    fn add_redirect(&mut self, reply: &Reply, expected: &str) {
        documented(&self.document, "GET /api/oauth/{provider}/callback", reply);
        let code = reply.location_parameter("error").unwrap_or_default();
        assert_eq!(code, expected, "{}", reply.header("location"));
        self.seen.insert(code);
    }
}

#[tokio::test]
async fn every_problem_is_as_documented() {
    let mut codes = Codes {
        document: openapi(),
        seen: BTreeSet::new(),
    };
    let api = TestApi::start().await;
    callers(&api, &mut codes).await;
    browsers(&api, &mut codes).await;
    reads(&api, &mut codes).await;
    without_a_database(&mut codes).await;

    let all = &codes.document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    let all: BTreeSet<String> = all
        .as_array()
        .expect("an enum")
        .iter()
        .filter_map(|code| code.as_str().map(str::to_owned))
        .collect();
    assert_eq!(codes.seen, all);
}

async fn callers(api: &TestApi, codes: &mut Codes) {
    let read = "GET /api/token";
    let path = "/api/token?provider=gmail";
    codes.add(read, &send(api.request("GET", path)).await, "unauthorized");
    codes.add(read, &api.get_as(ACME_KEY, path).await, "forbidden");
    codes.add(read, &api.token("nothing").await, "unknown_provider");
    codes.add(read, &api.token("gmail").await, "not_connected");
    codes.add(read, &api.get("/api/token").await, "invalid_request");
    codes.add(
        read,
        &api.get(&format!("{path}&api_key=x")).await,
        "invalid_request",
    );

    let list = "GET /api/connections";
    codes.add(
        list,
        &api.get("/api/connections?limit=0").await,
        "invalid_request",
    );
    codes.add(
        list,
        &api.get("/api/connections?provider=%00").await,
        "invalid_request",
    );
    codes.add(
        list,
        &send(api.request("GET", "/api/connections")).await,
        "unauthorized",
    );
    let one = "/api/connections/0b0f6a3e-6c39-4d0e-9a2d-9f3a5d1f7c11";
    let each = "/api/connections/{id}";
    codes.add(&format!("GET {each}"), &api.get(one).await, "not_connected");
    codes.add(
        &format!("DELETE {each}"),
        &api.delete(one).await,
        "not_connected",
    );
    let text = api
        .request("PATCH", one)
        .header("authorization", format!("Bearer {KEY}"))
        .body("{}");
    codes.add(
        &format!("PATCH {each}"),
        &send(text).await,
        "invalid_request",
    );
    let large = api
        .request("POST", "/api/token")
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(" ".repeat(1024 * 1024 + 1));
    let large = send(large).await;
    assert_eq!(large.status, 413);
    codes.add("POST /api/token", &large, "invalid_request");

    let import = "POST /api/connections";
    let file = json!({"provider": "gmail", "refresh_token": "never-issued"});
    let refused = api.send_json("POST", "/api/connections", &file).await;
    codes.add(import, &refused, "reauthorization_required");
    let refused = api.send_json("POST", "/api/connections", &json!({})).await;
    codes.add(import, &refused, "invalid_request");
    let links = "POST /api/connect-links";
    let ask = json!({"provider": "gmail", "return_to": "https://evil.test/"});
    let refused = api.send_json("POST", "/api/connect-links", &ask).await;
    codes.add(links, &refused, "return_to_not_allowed");
    codes.add(
        "GET /api/health",
        &api.get_as("wrong", "/api/health").await,
        "unauthorized",
    );
}

async fn browsers(api: &TestApi, codes: &mut Codes) {
    let callback = "GET /api/oauth/{provider}/callback";
    let stateless = send(api.request("GET", "/api/oauth/gmail/callback?code=x")).await;
    codes.add(callback, &stateless, "invalid_state");
    let page = send(
        api.request("GET", "/api/oauth/gmail/callback")
            .header("accept", "text/html"),
    )
    .await;
    assert!(page.header("content-type").starts_with("text/html"));
    documented(&codes.document, callback, &page);
    let form = api
        .request("POST", "/api/oauth/gmail/callback")
        .header("content-type", "text/plain");
    let operation = "POST /api/oauth/{provider}/callback";
    codes.add(operation, &send(form).await, "invalid_request");
    let connect = send(api.request("GET", "/connect")).await;
    codes.add("GET /connect", &connect, "unauthorized");

    codes.add_redirect(
        &api.connect_with("gmail", &Consent::deny()).await,
        "access_denied",
    );
    api.connect("gmail").await;
    let session = session("default", "default");
    let again = format!("/api/oauth/gmail/authorize?session={session}&account=alice@example.test");
    let other = Consent::of("bob@example.test");
    let mismatch = api.visitor().connect(&again, &other).await;
    codes.add_redirect(&mismatch, "account_mismatch");
}

async fn reads(api: &TestApi, codes: &mut Codes) {
    let read = "GET /api/token";
    let scope = format!("/api/token?provider=gmail&scope={SEND}");
    codes.add(read, &api.get(&scope).await, "insufficient_scope");
    api.connect_with("gmail", &Consent::of("bob@example.test"))
        .await;
    codes.add(read, &api.token("gmail").await, "ambiguous_account");
    let bob = "/api/token?provider=gmail&account=bob@example.test";
    let bob_id = id(&api.get(bob).await);
    api.delete(&format!("/api/connections/{bob_id}")).await;

    for (error, expected) in [
        ("invalid_client", "misconfigured"),
        ("invalid_scope", "provider_error"),
        ("temporarily_unavailable", "provider_unavailable"),
        ("invalid_grant", "reauthorization_required"),
    ] {
        api.provider
            .update(|knobs| knobs.token_error = Some(error.to_owned()));
        let sql =
            "update oauth_tokens set expires_at = now() - interval '1 minute', retry_at = null";
        database::execute(&api.database_url, sql).await;
        codes.add(read, &api.token("gmail").await, expected);
    }
    api.provider.update(|knobs| knobs.token_error = None);
    api.connect_with("gmail", &Consent::without(READONLY)).await;
    let sql = "update oauth_tokens set token_data = '\\x00'";
    database::execute(&api.database_url, sql).await;
    let altered = api.token("gmail").await;
    assert_eq!(altered.json()["reason"], "integrity_error");
    codes.add(read, &altered, "internal");
}

async fn without_a_database(codes: &mut Codes) {
    let api = TestApi::builder()
        .variable("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .start()
        .await;
    let down = "storage_unavailable";
    codes.add("GET /api/token", &api.token("gmail").await, down);
    codes.add(
        "GET /api/connections",
        &api.get("/api/connections").await,
        down,
    );
    let health = api.get("/api/health").await;
    assert_eq!(health.status, 503);
    documented(&codes.document, "GET /api/health", &health);
}
