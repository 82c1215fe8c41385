//! The connect page over plain HTTP: headers, who may change what, and what a made-up
//! query can make it say.

use grantkeep_tests::api::session;
use grantkeep_tests::http::send;
use grantkeep_tests::{Reply, TestApi};

use crate::support::{connection_id, count};

const COOKIE: &str = "grantkeep_session";

fn cookie(workspace: &str, actor: &str) -> String {
    format!("{COOKIE}={}", session(workspace, actor))
}

/// The page as a browser asks for it.
async fn page(api: &TestApi, path: &str, cookie: &str) -> Reply {
    let request = api
        .request("GET", path)
        .header("accept", "text/html")
        .header("cookie", cookie);
    send(request).await
}

/// The page's form with these headers about where it comes from.
async fn post(api: &TestApi, cookie: &str, body: String, headers: &[(&str, &str)]) -> Reply {
    let mut request = api
        .request("POST", "/connect")
        .header("accept", "text/html")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("cookie", cookie)
        .body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request).await
}

#[tokio::test]
async fn ar08_pages_are_not_cached_not_framed_and_load_nothing_from_elsewhere() {
    let api = TestApi::start().await;
    let own = cookie("default", "default");

    for path in [
        "/connect",
        "/connect?connection=connected&provider=gmail",
        "/api/oauth/gmail/callback?state=x&code=y",
        "/api/oauth/nothing/authorize",
    ] {
        let reply = page(&api, path, &own).await;
        let policy = reply.header("content-security-policy");
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        assert!(policy.starts_with("default-src 'none';"), "{path} {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path} {policy}");
        assert!(!reply.text.contains(" src="), "{path}");
    }
}

#[tokio::test]
async fn cs01_only_the_page_itself_can_disconnect() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let own = cookie("default", "default");
    let body = format!("disconnect={}", connection_id(&api, "gmail").await);

    for headers in [
        &[][..],
        &[("origin", "https://evil.test")],
        &[("origin", "null")],
        &[("origin", "null"), ("sec-fetch-site", "cross-site")],
        &[("origin", "null"), ("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "same-origin")],
        &[
            ("origin", "https://evil.test"),
            ("sec-fetch-site", "same-origin"),
        ],
    ] {
        let reply = post(&api, &own, body.clone(), headers).await;
        assert_eq!(reply.status, 403, "{headers:?}");
        assert!(
            reply.text.contains("Nothing was disconnected"),
            "{headers:?}"
        );
    }
    assert_eq!(count(&api, "oauth_tokens").await, "1");

    // What browsers send from a page whose referrer policy is `no-referrer`.
    let from_page = [("origin", "null"), ("sec-fetch-site", "same-origin")];
    let reply = post(&api, &own, body, &from_page).await;

    assert_eq!(reply.status, 303, "{}", reply.text);
    assert_eq!(
        reply.header("location"),
        "/connect?connection=disconnected&provider=gmail&access=ended"
    );
    assert_eq!(count(&api, "oauth_tokens").await, "0");
}

#[tokio::test]
async fn cs02_a_get_disconnects_nothing_and_signs_nobody_out() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let id = connection_id(&api, "gmail").await;
    let path = format!("/connect?disconnect={id}&sign_out=yes");

    let reply = page(&api, &path, &cookie("default", "default")).await;

    assert_eq!((reply.status, reply.cookies()), (200, Vec::new()));
    assert_eq!(count(&api, "oauth_tokens").await, "1");
}

#[tokio::test]
async fn a_connection_of_somebody_else_is_neither_shown_nor_disconnected() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let id = connection_id(&api, "gmail").await;
    let ada = cookie("acme", "ada");

    let shown = page(&api, "/connect", &ada).await;
    let origin = api.origin.clone();
    let reply = post(
        &api,
        &ada,
        format!("disconnect={id}"),
        &[("origin", &origin)],
    )
    .await;

    assert!(!shown.text.contains("alice@example.test"), "{}", shown.text);
    assert!(!shown.text.contains(&id), "{}", shown.text);
    assert_eq!(reply.status, 404, "{}", reply.text);
    assert_eq!(count(&api, "oauth_tokens").await, "1");
}

#[tokio::test]
async fn st12_a_made_up_query_adds_no_words_of_its_own() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let own = cookie("default", "default");
    let made_up = "MADE-UP-%3Cb%3E";

    for path in [
        format!("/connect?connection=connected&provider=gmail&account={made_up}"),
        format!("/connect?connection=connected&provider={made_up}&account=alice@example.test"),
        format!(
            "/connect?connection=error&error={made_up}&provider=gmail&error_description={made_up}"
        ),
        format!("/connect?connection=insufficient_scope&missing_scope={made_up}&provider=gmail"),
        format!("/connect?connection=disconnected&access={made_up}&provider=gmail"),
        format!("/connect?connection={made_up}"),
    ] {
        let reply = page(&api, &path, &own).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(!reply.text.contains("MADE-UP"), "{path}");
        let nobody = page(&api, &path, "").await;
        assert!(!nobody.text.contains("MADE-UP"), "{path}");
        assert!(!nobody.text.contains("alice@example.test"), "{path}");
    }
    let real = "/connect?connection=connected&provider=gmail&account=alice@example.test";
    let reply = page(&api, real, &own).await;
    assert!(
        reply
            .text
            .contains("Gmail is connected as alice@example.test")
    );
}

#[tokio::test]
async fn without_a_provider_the_page_says_that_there_is_nothing_to_connect() {
    let api = TestApi::builder()
        .variable("GOOGLE_CLIENT_ID", "")
        .variable("GOOGLE_CLIENT_SECRET", "")
        .variable("MICROSOFT_CLIENT_ID", "")
        .variable("MICROSOFT_CLIENT_SECRET", "")
        .start()
        .await;

    let reply = page(&api, "/connect", &cookie("default", "default")).await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(reply.text.contains("There is nothing to connect yet"));
}

#[tokio::test]
async fn without_a_session_the_page_says_where_to_sign_in_and_machines_get_a_problem() {
    let api = TestApi::start().await;

    let people = page(&api, "/connect", "").await;
    let machines = send(api.request("GET", "/connect")).await;

    assert_eq!(people.status, 401);
    assert_eq!(people.header("content-type"), "text/html; charset=utf-8");
    assert!(people.text.contains("You are not signed in here"));
    assert_eq!(
        (machines.status, machines.code().as_str()),
        (401, "unauthorized")
    );
}

#[tokio::test]
async fn signing_out_takes_the_cookie_away_and_needs_the_page_too() {
    let api = TestApi::start().await;
    let own = cookie("default", "default");
    let origin = api.origin.clone();

    let foreign = post(
        &api,
        &own,
        "sign_out=yes".into(),
        &[("origin", "https://evil.test")],
    )
    .await;
    let done = post(&api, &own, "sign_out=yes".into(), &[("origin", &origin)]).await;

    assert_eq!((foreign.status, foreign.cookies()), (403, Vec::new()));
    assert_eq!(done.status, 303);
    assert!(done.cookies()[0].starts_with("grantkeep_session=; Path=/; Max-Age=0"));
}
