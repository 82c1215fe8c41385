//! Scopes end to end: what was granted counts, what was requested does not.

use grantkeep_demo_provider::ScopeEcho;
use grantkeep_tests::{Consent, Reply, TestApi};
use serde_json::json;

use crate::scripted::{Answer, Scripted, callback};
use crate::support::{
    MODIFY, READONLY, SEND, authorize, connected, consented, consented_with, count, failed,
    outcome, parameter, problem, text,
};

async fn read(api: &TestApi, provider: &str, scope: &str) -> Reply {
    let scope: String = url::form_urlencoded::byte_serialize(scope.as_bytes()).collect();
    api.get(&format!("/api/token?provider={provider}&scope={scope}"))
        .await
}

fn insufficient() -> (u16, String) {
    (403, "insufficient_scope".to_owned())
}

/// A connection of `plain` that was granted this scope string.
async fn granted(scope: serde_json::Value) -> TestApi {
    let server = Scripted::start().await;
    let api = server.plain(json!({})).await;
    let set = json!({"access_token": "at", "expires_in": 3600, "scope": scope});
    server.answers(Answer::json(&set));
    let done = callback(&api, "plain").await;
    assert_eq!(done.status, 303, "{}", done.text);
    api
}

#[tokio::test]
async fn sc01_what_the_user_unticked_is_saved_as_missing_and_can_be_asked_for_again() {
    let api = TestApi::start().await;
    let start = format!("{}&scope={SEND}", authorize("gmail"));
    let mut flow = consented_with(&api, &start, &Consent::without(SEND)).await;

    let done = flow.finish().await;
    let other = read(&api, "gmail", READONLY).await;
    let refused = read(&api, "gmail", SEND).await;

    assert_eq!(outcome(&done).0.as_deref(), Some("insufficient_scope"));
    assert_eq!(
        done.location_parameter("missing_scope").as_deref(),
        Some(SEND)
    );
    assert_eq!(other.status, 200, "{}", other.text);
    assert_eq!(problem(&refused), insufficient());
    let json = refused.json();
    assert_eq!(json["missing_scopes"], json!([SEND]));
    assert!(
        json["granted_scopes"]
            .as_array()
            .is_some_and(|s| s.contains(&json!(READONLY)))
    );
    let url = text(&json["connect_url"]);
    assert_eq!(parameter(&url, "scope").as_deref(), Some(SEND));
    assert_eq!(
        parameter(&url, "account").as_deref(),
        Some("alice@example.test")
    );
    let event = "connection_events where type = 'connection.scopes_missing'";
    assert_eq!(count(&api, event).await, "1");

    let query = url::Url::parse(&url).expect("an address");
    let again = format!(
        "{}&{}",
        authorize("gmail"),
        query.query().unwrap_or_default()
    );
    let mended = consented(&api, &again).await.finish().await;
    assert_eq!(outcome(&mended), connected());
    assert_eq!(read(&api, "gmail", SEND).await.status, 200);
    assert_eq!(count(&api, event).await, "1");
}

#[tokio::test]
async fn sc02_without_an_echo_the_request_counts_and_is_marked_as_assumed() {
    let api = TestApi::start().await;
    api.provider
        .update(|knobs| knobs.scope_echo = ScopeEcho::Absent);

    let done = api.connect("gmail").await;
    let token = read(&api, "gmail", READONLY).await;

    assert_eq!(outcome(&done), connected());
    assert_eq!(token.status, 200, "{}", token.text);
    let assumed = api
        .text("select scopes_assumed::text from oauth_tokens")
        .await;
    assert_eq!(assumed.as_deref(), Some("true"));
    // No token goes into a URL to find out.
    let access_token = text(&token.json()["access_token"]);
    for request in api.provider.requests() {
        assert!(
            request
                .query
                .iter()
                .all(|(_, value)| *value != access_token)
        );
    }
    api.provider
        .update(|knobs| knobs.scope_echo = ScopeEcho::String);
    api.set_expiry("gmail", -1).await;
    read(&api, "gmail", READONLY).await;
    let assumed = api
        .text("select scopes_assumed::text from oauth_tokens")
        .await;
    assert_eq!(assumed.as_deref(), Some("false"));
}

#[tokio::test]
async fn sc03_requested_is_not_granted() {
    let api = TestApi::start().await;
    let start = format!("{}&scope={SEND}", authorize("gmail"));
    consented_with(&api, &start, &Consent::without(SEND))
        .await
        .finish()
        .await;

    let requested = api
        .text("select array_to_string(requested_scopes, ' ') from oauth_tokens")
        .await;
    let both = read(&api, "gmail", &format!("{READONLY} {SEND}")).await;
    let exported = api
        .get("/api/token?provider=gmail&format=authorized_user")
        .await;

    assert!(requested.is_some_and(|requested| requested.contains(SEND)));
    assert_eq!(problem(&both), insufficient());
    assert_eq!(both.json()["missing_scopes"], json!([SEND]));
    assert!(exported.text.contains(READONLY) && !exported.text.contains(SEND));
}

#[tokio::test]
async fn sc04_nothing_is_always_granted_and_an_empty_grant_holds_nothing() {
    let api = granted(json!("mail.send  mail.read mail.read")).await;
    for enough in [
        "",
        " ",
        "mail.read",
        "mail.read  mail.send",
        "mail.send mail.read mail.send",
    ] {
        assert_eq!(read(&api, "plain", enough).await.status, 200, "{enough:?}");
    }
    for more in ["mail", "mail.read.all", "MAIL.READ", "mail.read x"] {
        assert_eq!(
            problem(&read(&api, "plain", more).await),
            insufficient(),
            "{more:?}"
        );
    }

    let nothing = granted(json!("")).await;
    assert_eq!(read(&nothing, "plain", "").await.status, 200);
    assert_eq!(
        problem(&read(&nothing, "plain", "mail.read").await),
        insufficient()
    );
}

#[tokio::test]
async fn sc05_aliases_count_always_and_broader_scopes_only_effectively() {
    let api = TestApi::start().await;
    let email = "https://www.googleapis.com/auth/userinfo.email";
    api.connect("gmail").await;
    for scope in ["email", email] {
        for mode in ["strict", "effective"] {
            let path = format!("/api/token?provider=gmail&scope={scope}&mode={mode}");
            assert_eq!(api.get(&path).await.status, 200, "{path}");
        }
    }
    assert_eq!(problem(&read(&api, "gmail", MODIFY).await), insufficient());

    let start = format!("{}&scope={MODIFY}", authorize("gmail"));
    consented_with(&api, &start, &Consent::without(READONLY))
        .await
        .finish()
        .await;
    let strict = api
        .get(&format!(
            "/api/token?provider=gmail&scope={READONLY}&mode=strict"
        ))
        .await;
    assert_eq!(problem(&strict), insufficient());
    assert_eq!(read(&api, "gmail", READONLY).await.status, 200);
    assert_eq!(read(&api, "gmail", SEND).await.status, 200);

    api.connect("google_calendar").await;
    let calendar = "https://www.googleapis.com/auth/calendar";
    let granted = api.token("google_calendar").await.json();
    let granted = text(&granted["scope"]);
    let broader = match granted.contains(&format!("{calendar}.events")) {
        true => calendar.to_owned(),
        false => format!("{calendar}.events"),
    };
    assert_eq!(
        problem(&read(&api, "google_calendar", &broader).await),
        insufficient()
    );
}

#[tokio::test]
async fn sc06_more_than_was_asked_for_is_never_an_error() {
    let server = Scripted::start().await;
    let api = server.plain(json!({})).await;
    let scope = "openid User.Read mail.read mail.send";
    server.answers(Answer::json(&json!({"access_token": "at", "scope": scope})));

    assert_eq!(outcome(&callback(&api, "plain").await), connected());
    assert_eq!(read(&api, "plain", "User.Read").await.status, 200);
}

#[tokio::test]
async fn sc07_scopes_that_steer_the_flow_are_never_missing() {
    let server = Scripted::start().await;
    let api = server
        .plain(json!({
            "scopes": ["mail.read", "offline_access", "refresh_token"],
            "required_scopes": ["mail.read", "offline_access"],
            "scope_rules": {"flow_control": ["refresh_token"]},
        }))
        .await;
    server.answers(Answer::json(
        &json!({"access_token": "at", "scope": "mail.read"}),
    ));

    assert_eq!(outcome(&callback(&api, "plain").await), connected());
    let all = "mail.read offline_access refresh_token openid";
    assert_eq!(read(&api, "plain", all).await.status, 200);
}

#[tokio::test]
async fn sc08_case_and_prefix_matter_only_where_the_provider_says_so() {
    let api = TestApi::start().await;
    api.connect("outlook").await;
    api.connect("gmail").await;

    for scope in [
        "Mail.Read",
        "mail.read",
        "https://graph.microsoft.com/Mail.Read",
    ] {
        let path = format!("/api/token?provider=outlook&scope={scope}&mode=strict");
        assert_eq!(api.get(&path).await.status, 200, "{scope}");
    }
    let upper = READONLY.replace("readonly", "READONLY");
    assert_eq!(problem(&read(&api, "gmail", &upper).await), insufficient());
}

#[tokio::test]
async fn sc09_a_refresh_can_narrow_and_widen_what_is_granted() {
    let api = TestApi::start().await;
    let start = format!("{}&scope={SEND}", authorize("gmail"));
    consented(&api, &start).await.finish().await;
    let refresh = async |narrower: Option<Vec<String>>, echo: ScopeEcho| {
        api.provider.update(|knobs| {
            knobs.narrower_scope_on_refresh = narrower;
            knobs.scope_echo = echo;
        });
        api.set_expiry("gmail", -1).await;
        read(&api, "gmail", SEND).await
    };
    let changes = "connection_events where type = 'connection.scopes_changed'";

    let narrowed = refresh(Some(vec![READONLY.to_owned()]), ScopeEcho::String).await;
    assert_eq!(problem(&narrowed), insufficient());
    assert_eq!(narrowed.json()["granted_scopes"], json!([READONLY]));
    assert_eq!(count(&api, changes).await, "1");

    let silent = refresh(None, ScopeEcho::Absent).await;
    assert_eq!(problem(&silent), insufficient());
    let widened = refresh(None, ScopeEcho::String).await;
    assert_eq!(problem(&widened), insufficient());
    // What a connection lacks is refused before a refresh is spent on it.
    let any = read(&api, "gmail", READONLY).await;
    assert_eq!(any.status, 200, "{}", any.text);
    assert_eq!(read(&api, "gmail", SEND).await.status, 200);
    assert_eq!(count(&api, changes).await, "2");
}

#[tokio::test]
async fn sc10_asking_for_more_asks_for_all_and_failing_changes_nothing() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let before = api.token("gmail").await.json();
    let more = format!("{}&scope={SEND}", authorize("gmail"));

    let mut denied = consented_with(&api, &more, &Consent::deny()).await;
    let denied_done = denied.finish().await;
    api.provider.update(|knobs| knobs.token_status = Some(500));
    let broken = consented(&api, &more).await.finish().await;
    api.provider.update(|knobs| knobs.token_status = None);
    let kept = api.token("gmail").await.json();
    let mut granted = consented(&api, &more).await;
    let granted_done = granted.finish().await;
    let after = read(&api, "gmail", &format!("{READONLY} {SEND}")).await;
    let later = consented(&api, &authorize("gmail")).await;

    assert_eq!(outcome(&denied_done), failed("access_denied"));
    assert_eq!(outcome(&broken), failed("provider_unavailable"));
    assert_eq!(kept["access_token"], before["access_token"]);
    assert_eq!(kept["scope"], before["scope"]);
    assert_eq!(outcome(&granted_done), connected());
    assert_eq!(after.status, 200, "{}", after.text);
    assert_eq!(after.json()["connection_id"], before["connection_id"]);
    let asked = parameter(&granted.location, "scope").unwrap_or_default();
    assert!(asked.contains(READONLY) && asked.contains(SEND), "{asked}");
    // A later plain reconnect does not lose what was added.
    let asked = parameter(&later.location, "scope").unwrap_or_default();
    assert!(asked.contains(SEND), "{asked}");
}

#[tokio::test]
async fn sc11_a_list_joined_by_commas_is_the_same_list() {
    for scope in [
        json!("mail.read,mail.send"),
        json!("mail.read mail.send"),
        json!(["mail.read", "mail.send"]),
    ] {
        let api = granted(scope.clone()).await;

        let token = read(&api, "plain", "mail.send mail.read").await;

        assert_eq!(token.json()["scope"], "mail.read mail.send", "{scope}");
    }
}
