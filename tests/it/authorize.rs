//! The authorization request: what is in it, what a caller may choose, and what it may not.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantkeep_tests::api::session;
use grantkeep_tests::http::send;
use grantkeep_tests::{Consent, TestApi};
use serde_json::json;

use crate::support::{
    READONLY, SEND, authorize, connected, consented, count, failed, outcome, parameter, problem,
    text, with_parameter,
};

#[tokio::test]
async fn ar01_state_and_verifier_are_random_and_the_challenge_is_s256() {
    let api = TestApi::start().await;
    let (mut states, mut challenges) = (BTreeSet::new(), BTreeSet::new());

    for _ in 0..5 {
        let mut flow = consented(&api, &authorize("gmail")).await;
        let sent = |name: &str| parameter(&flow.location, name).unwrap_or_default();
        assert_eq!(sent("response_type"), "code");
        assert_eq!(sent("code_challenge_method"), "S256");
        assert!(sent("state").len() >= 22, "128 bits in base64url");
        let challenge = sent("code_challenge");
        states.insert(sent("state"));
        challenges.insert(challenge.clone());
        assert_eq!(outcome(&flow.finish().await), connected());

        let requests = api.provider.requests();
        let verifier = requests
            .iter()
            .rev()
            .find(|request| request.endpoint == "/token")
            .and_then(|request| request.parameter("code_verifier"))
            .expect("a verifier");
        let hash = digest(&SHA256, verifier.as_bytes());
        assert_eq!(challenge, URL_SAFE_NO_PAD.encode(hash));
        let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        assert!((43..=128).contains(&verifier.len()) && verifier.chars().all(unreserved));
    }

    assert_eq!((states.len(), challenges.len()), (5, 5));
}

#[tokio::test]
async fn ar02_only_the_definition_turns_pkce_off() {
    let api = TestApi::builder()
        .provider("google_calendar", json!({"code_challenge_method": "none"}))
        .start()
        .await;

    let mut without = consented(&api, &authorize("google_calendar")).await;
    let by_request = format!("{}&code_challenge_method=none", authorize("gmail"));
    let refused = api.visitor().get(&by_request).await;
    let done = without.finish().await;

    assert_eq!(parameter(&without.location, "code_challenge"), None);
    assert_eq!(parameter(&without.location, "code_challenge_method"), None);
    assert_eq!(outcome(&done), connected());
    assert_eq!(problem(&refused), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn ar03_the_redirect_uri_ignores_the_host_of_the_request() {
    let api = TestApi::builder()
        .variable("PUBLIC_URL", "https://auth.example")
        .start()
        .await;
    let expected = "https://auth.example/api/oauth/gmail/callback";

    let request = api
        .request("GET", &authorize("gmail"))
        .header("host", "evil.test")
        .header("x-forwarded-host", "evil.test")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "host=evil.test;proto=http");
    let begun = send(request).await;
    let mut flow = consented(&api, &authorize("gmail")).await;
    let done = flow.finish().await;

    assert_eq!(begun.status, 302);
    assert_eq!(
        parameter(begun.header("location"), "redirect_uri").as_deref(),
        Some(expected)
    );
    assert_eq!(outcome(&done), connected());
    let requests = api.provider.requests();
    let exchange = requests.iter().find(|request| request.endpoint == "/token");
    assert_eq!(
        exchange.and_then(|request| request.parameter("redirect_uri")),
        Some(expected)
    );
}

#[tokio::test]
async fn ar04_what_is_ours_to_set_cannot_be_set_by_callers() {
    let api = TestApi::start().await;

    for name in [
        "redirect_uri",
        "client_id",
        "response_type",
        "state",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "response_mode",
        "request",
        "request_uri",
    ] {
        let begun = api
            .visitor()
            .get(&format!("{}&{name}=x", authorize("gmail")))
            .await;

        assert_eq!(
            problem(&begun),
            (400, "invalid_request".to_owned()),
            "{name}"
        );
        assert_eq!(begun.json()["errors"][0]["field"], name);
        assert_eq!(begun.header("location"), "");
    }
}

#[tokio::test]
async fn ar04_unknown_parameters_do_not_reach_the_provider() {
    let api = TestApi::start().await;

    let begun = api
        .visitor()
        .get(&format!(
            "{}&provider=evil&hd=evil&audience=x",
            authorize("gmail")
        ))
        .await;

    assert_eq!(begun.status, 302, "{}", begun.text);
    let location = begun.header("location");
    assert!(location.starts_with(api.provider.origin()));
    for name in ["provider", "hd", "audience", "session"] {
        assert_eq!(parameter(location, name), None, "{name}");
    }
    assert_eq!(
        parameter(location, "access_type").as_deref(),
        Some("offline")
    );
}

#[tokio::test]
async fn ar05_a_scope_that_is_not_allowed_is_refused_before_any_redirect() {
    let api = TestApi::start().await;

    for scope in [
        "https://www.googleapis.com/auth/drive",
        "https://www.googleapis.com/auth/gmail.readonly%22",
        "admin",
    ] {
        let begun = api
            .visitor()
            .get(&format!("{}&scope={SEND}+{scope}", authorize("gmail")))
            .await;
        let ask = json!({"provider": "gmail", "scope": scope});
        let link = api.send_json("POST", "/api/connect-links", &ask).await;

        assert_eq!(
            problem(&begun),
            (400, "invalid_request".to_owned()),
            "{scope}"
        );
        assert_eq!(begun.json()["errors"][0]["field"], "scope");
        assert!(begun.cookies().is_empty());
        assert_eq!(
            problem(&link),
            (400, "invalid_request".to_owned()),
            "{scope}"
        );
    }
    // Not even the table is there: nothing was written.
    let table = "select to_regclass('pending_authorizations')::text";
    assert_eq!(api.text(table).await, None);
}

#[tokio::test]
async fn ar07_beginning_needs_a_session_or_a_link_and_changes_nothing_else() {
    let api = TestApi::start().await;
    let expired = "eyJhbGciOiJIUzI1NiJ9.e30.x";

    for path in [
        "/api/oauth/gmail/authorize".to_owned(),
        format!("/api/oauth/gmail/authorize?session={expired}"),
        "/api/oauth/gmail/authorize?session=".to_owned(),
    ] {
        let begun = api.visitor().get(&path).await;
        assert_eq!(problem(&begun), (401, "unauthorized".to_owned()), "{path}");
    }
    let forged = api
        .visitor()
        .get("/api/oauth/gmail/authorize?link=Zm9yZ2Vk")
        .await;
    let begun = api.visitor().get(&authorize("gmail")).await;

    assert_eq!(problem(&forged), (400, "invalid_state".to_owned()));
    assert_eq!(begun.status, 302);
    assert_eq!(count(&api, "pending_authorizations").await, "1");
    assert_eq!(count(&api, "oauth_tokens").await, "0");
    assert_eq!(count(&api, "connection_events").await, "0");
    assert_eq!(api.provider.requests(), []);
}

#[tokio::test]
async fn ar07_a_link_is_bound_to_its_provider_and_completes_once() {
    let api = TestApi::start().await;
    let ask = json!({"provider": "gmail", "actor": "ada", "confirm": false, "return_to": "/done"});
    let link = api.send_json("POST", "/api/connect-links", &ask).await;
    let url = text(&link.json()["url"]);

    let elsewhere = url.replace("/oauth/gmail/", "/oauth/google_calendar/");
    let elsewhere = api.visitor().get(&elsewhere).await;
    let early = consented(&api, &url).await;
    let first = api.visitor().connect(&url, &Consent::default()).await;
    let again = api.visitor().get(&url).await;
    // Begun while the link was still good, completed when it no longer was.
    let mut early = early;
    let late = early.finish().await;

    assert_eq!(problem(&elsewhere), (400, "invalid_state".to_owned()));
    assert_eq!(outcome(&first), connected());
    assert!(first.header("location").starts_with("/done?"));
    assert_eq!(problem(&again), (400, "invalid_state".to_owned()));
    assert_eq!(outcome(&late), failed("invalid_state"));
    assert_eq!(api.provider.token_requests(), 1);
}

#[tokio::test]
async fn ar07_of_two_browsers_with_one_link_one_completes() {
    let api = TestApi::start().await;
    let ask = json!({"provider": "gmail", "actor": "ada", "confirm": false});
    let link = api.send_json("POST", "/api/connect-links", &ask).await;
    let url = text(&link.json()["url"]);
    let (mut a, mut b) = (consented(&api, &url).await, consented(&api, &url).await);
    api.provider.update(|knobs| knobs.delay_ms = 200);

    let (a, b) = tokio::join!(a.finish(), b.finish());

    let mut outcomes = [outcome(&a), outcome(&b)];
    outcomes.sort();
    assert_eq!(outcomes, [connected(), failed("invalid_state")]);
    assert_eq!(
        count(
            &api,
            "connection_events where type = 'connection.connected'"
        )
        .await,
        "1"
    );
}

#[tokio::test]
async fn ar08_pages_and_redirects_tell_nobody_where_they_came_from() {
    let api = TestApi::start().await;
    let mut browser = api.visitor();
    let own = session("default", "default");
    browser.get(&format!("/connect?session={own}")).await;

    let begun = browser.get("/api/oauth/gmail/authorize").await;
    let page = browser.get("/connect").await;
    let request = api
        .request("GET", "/api/oauth/gmail/callback?state=x&code=y")
        .header("accept", "text/html");
    let error = send(request).await;

    for reply in [&begun, &page, &error] {
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
    assert_eq!((page.status, error.status), (200, 400));
    for page in [&page, &error] {
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(policy.contains("default-src 'none'"), "{policy}");
        for tag in ["<script", "src=\"http", "href=\"//", "url(http"] {
            assert!(!page.text.contains(tag), "{tag}: {}", page.text);
        }
    }
}

#[tokio::test]
async fn ar09_the_browser_is_sent_on_by_302_and_303_only() {
    let api = TestApi::start().await;
    let mut flow = consented(&api, &authorize("gmail")).await;
    let mut browser = api.visitor();
    let own = session("default", "default");

    let begun = browser.get(&authorize("gmail")).await.status;
    let done = flow.finish().await.status;
    let signed_in = browser.get(&format!("/connect?session={own}")).await;
    let id = crate::support::connection_id(&api, "gmail").await;
    let posted = browser.post_form("/connect", &[("disconnect", &id)]).await;

    assert_eq!((begun, done), (302, 303));
    assert_eq!((signed_in.status, posted.status), (303, 303));
}

#[tokio::test]
async fn incremental_scopes_and_the_login_hint_reach_the_provider() {
    let api = TestApi::start().await;

    let begun = api
        .visitor()
        .get(&format!(
            "{}&scope={SEND}&account=bob@example.test",
            authorize("gmail")
        ))
        .await;

    let location = begun.header("location");
    let scope = parameter(location, "scope").unwrap_or_default();
    let scopes: Vec<&str> = scope.split(' ').collect();
    assert_eq!(scopes, [READONLY, "openid", "email", SEND]);
    assert_eq!(
        parameter(location, "login_hint").as_deref(),
        Some("bob@example.test")
    );
    assert!(parameter(location, "nonce").is_some_and(|nonce| nonce.len() >= 22));
    assert_eq!(
        with_parameter(location, "x", None).split('?').next(),
        Some(format!("{}/authorize", api.provider.origin()).as_str())
    );
}

#[tokio::test]
async fn an_unknown_or_unconfigured_provider_is_named() {
    let api = TestApi::builder()
        .variable("MICROSOFT_CLIENT_ID", "")
        .start()
        .await;
    let session = session("default", "default");

    for name in ["nothing", "outlook", "%3Cscript%3E"] {
        for path in [
            format!("/api/oauth/{name}/authorize?session={session}"),
            format!("/api/oauth/{name}/callback?state=x&code=y"),
            format!("/api/token?provider={name}"),
        ] {
            let reply = api.get(&path).await;
            assert_eq!(
                problem(&reply),
                (404, "unknown_provider".to_owned()),
                "{path}"
            );
            assert!(reply.json()["provider"].is_string(), "{path}");
            assert!(!reply.text.contains('<'), "{path}");
        }
    }
}
