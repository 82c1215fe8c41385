//! Where a callback leads to, what its cookie looks like, and whose connection it makes.

use grantkeep_tests::api::{KEY, session};
use grantkeep_tests::http::{client, send};
use grantkeep_tests::visitor::submit;
use grantkeep_tests::{Consent, TestApi, database};
use serde_json::json;

use crate::support::{
    authorize, authorize_as, connected, connection_id, consented, consented_with, count, failed,
    outcome, parameter, problem, text,
};

const PUBLIC: &str = "https://auth.example";

#[tokio::test]
async fn st11_only_own_paths_and_listed_origins_can_be_returned_to() {
    let api = TestApi::start().await;
    let start = |return_to: &str| {
        let encoded: String = url::form_urlencoded::byte_serialize(return_to.as_bytes()).collect();
        format!("{}&return_to={encoded}", authorize("gmail"))
    };

    for good in ["/", "/done?x=1#top", "https://app.test/done", &api.origin] {
        let begun = api.visitor().get(&start(good)).await;
        assert_eq!(begun.status, 302, "{good}: {}", begun.text);
    }
    for bad in [
        "//evil.test",
        "/\\evil.test",
        "\\evil.test",
        "https:evil.test",
        "https://app.test@evil.test",
        "https://app.test.evil.test/",
        "https://app.test:444/",
        "http://app.test/",
        "javascript:alert(1)",
        "data:text/html,x",
        "%0d%0aSet-Cookie: a=b",
        "/a%0d%0ab",
        "/a\r\nSet-Cookie: a=b",
        "\t//evil.test",
        "/\t/evil.test",
        " //evil.test",
        "done",
        "/\u{0}",
    ] {
        let refused = api.visitor().get(&start(bad)).await;
        assert_eq!(
            problem(&refused),
            (400, "return_to_not_allowed".to_owned()),
            "{bad:?}"
        );
        assert!(refused.cookies().is_empty());

        let ask = json!({"provider": "gmail", "return_to": bad});
        let link = api.send_json("POST", "/api/connect-links", &ask).await;
        assert_eq!(link.code(), "return_to_not_allowed", "{bad:?}");
    }
    assert_eq!(count(&api, "pending_authorizations").await, "4");
}

#[tokio::test]
async fn st12_the_way_back_carries_no_code_state_or_token() {
    let api = TestApi::start().await;
    let start = format!(
        "{}&return_to=https://app.test/done?tab=mail%23top",
        authorize("gmail")
    );
    let mut flow = consented(&api, &start).await;

    let done = flow.finish().await;

    assert_eq!(outcome(&done), connected());
    assert_eq!(
        done.header("location"),
        "https://app.test/done?tab=mail&connection=connected\
         &account=alice%40example.test&provider=gmail#top"
    );
    assert_eq!(done.header("cache-control"), "no-store");
    assert_eq!(done.header("referrer-policy"), "no-referrer");
    let token = api.token("gmail").await.json();
    for secret in [
        parameter(&flow.callback, "code"),
        parameter(&flow.callback, "state"),
        Some(text(&token["access_token"])),
    ] {
        let secret = secret.expect("a secret");
        assert!(!done.header("location").contains(&secret));
        assert!(!done.text.contains(&secret));
    }
}

#[tokio::test]
async fn without_return_to_the_connect_page_shows_how_it_ended() {
    let api = TestApi::start().await;
    let mut flow = consented(&api, &authorize("gmail")).await;

    let done = flow.finish().await;
    let page = flow.browser.get(done.header("location")).await;

    assert!(done.header("location").starts_with("/connect?"));
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Gmail is connected"), "{}", page.text);
}

#[tokio::test]
async fn st13_cookies_are_host_only_secure_and_one_for_each_flow() {
    let api = TestApi::builder()
        .variable("PUBLIC_URL", PUBLIC)
        .start()
        .await;
    let mut browser = api.visitor();

    let first = browser.get(&authorize("gmail")).await;
    let second = browser.get(&authorize("gmail")).await;
    let callback = browser
        .consent(second.header("location"), &Consent::default())
        .await;
    let done = browser.get(&callback).await;
    let other = browser
        .consent(first.header("location"), &Consent::default())
        .await;
    let other = browser.get(&other).await;

    for begun in [&first, &second] {
        let [cookie] = begun.cookies()[..] else {
            panic!("one cookie: {:?}", begun.cookies());
        };
        assert!(cookie.starts_with("__Host-grantkeep_flow_"), "{cookie}");
        let (_, attributes) = cookie.split_once("; ").expect("attributes");
        assert_eq!(
            attributes,
            "Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
        );
        assert!(cookie.len() < 4096);
    }
    assert!(callback.starts_with(PUBLIC));
    assert_eq!(
        (outcome(&done), outcome(&other)),
        (connected(), connected())
    );
    let gone = done.cookies()[0];
    assert!(
        gone.contains("Max-Age=0") && gone.contains("; Secure"),
        "{gone}"
    );
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
}

#[tokio::test]
async fn st13_on_plain_http_prefix_and_secure_are_left_out_together() {
    let api = TestApi::start().await;

    let begun = api.visitor().get(&authorize("gmail")).await;

    let cookie = begun.cookies()[0];
    assert!(cookie.starts_with("grantkeep_flow_"), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax"), "{cookie}");
}

#[tokio::test]
async fn st13_a_provider_that_answers_by_post_gets_a_cross_site_cookie() {
    let api = TestApi::builder()
        .variable("PUBLIC_URL", PUBLIC)
        .provider("gmail", json!({"response_mode": "form_post"}))
        .start()
        .await;
    let mut browser = api.visitor();
    let begun = browser.get(&authorize("gmail")).await;
    let page = submit(begun.header("location"), &Consent::default()).await;
    let field = |name: &str| {
        let (_, rest) = page
            .text
            .split_once(&format!("name=\"{name}\" value=\""))
            .expect("a field");
        rest.split('"')
            .next()
            .expect("a value")
            .replace("&#x2f;", "/")
    };
    let form = [("code", field("code")), ("state", field("state"))];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, &**value)).collect();

    let done = browser.post_form("/api/oauth/gmail/callback", &form).await;

    let cookie = begun.cookies()[0];
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=None; Secure"),
        "{cookie}"
    );
    assert_eq!(
        parameter(begun.header("location"), "response_mode").as_deref(),
        Some("form_post")
    );
    assert_eq!(outcome(&done), connected());
}

#[tokio::test]
async fn st14_another_account_does_not_take_a_connections_place() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let before = api.token("gmail").await.json();

    let again = format!("{}&account=alice@example.test", authorize("gmail"));
    let mut as_bob = consented_with(&api, &again, &Consent::of("bob@example.test")).await;
    let refused = as_bob.finish().await;
    let hint = parameter(&as_bob.location, "login_hint");
    let kept = api.token("gmail").await.json();
    let as_alice = consented(&api, &again).await.finish().await;

    assert_eq!(hint.as_deref(), Some("alice@example.test"));
    assert_eq!(outcome(&refused), failed("account_mismatch"));
    assert_eq!(kept["access_token"], before["access_token"]);
    assert!(
        !api.provider
            .requests()
            .iter()
            .any(|r| r.endpoint == "/revoke")
    );
    assert_eq!(outcome(&as_alice), connected());
    assert_eq!(count(&api, "oauth_tokens").await, "1");
}

#[tokio::test]
async fn st15_two_actors_with_one_account_have_a_connection_each() {
    let api = TestApi::start().await;
    for actor in ["ada", "bea"] {
        let done = consented(&api, &authorize_as("gmail", "default", actor))
            .await
            .finish()
            .await;
        assert_eq!(outcome(&done), connected());
    }
    let read = async |actor: &str| {
        api.get(&format!("/api/token?provider=gmail&actor={actor}"))
            .await
    };
    let ada = read("ada").await.json();

    let id = text(&ada["connection_id"]);
    let gone = api.delete(&format!("/api/connections/{id}")).await;
    let bea = read("bea").await;

    assert_ne!(ada["connection_id"], bea.json()["connection_id"]);
    assert_ne!(ada["access_token"], bea.json()["access_token"]);
    assert_eq!(
        gone.json(),
        json!({"revoked": false, "reason": "shared_with_another_connection", "deleted": true})
    );
    assert_eq!(bea.status, 200);
    let whoami = client()
        .get(format!("{}/api/whoami", api.provider.origin()))
        .bearer_auth(text(&bea.json()["access_token"]));
    assert_eq!(send(whoami).await.status, 200);
}

#[tokio::test]
async fn a_failed_save_shows_an_error_page_and_saves_nothing() {
    let api = TestApi::start().await;
    let mut flow = consented(&api, &authorize("gmail")).await;
    database::execute(
        &api.database_url,
        "create function refuse() returns trigger language plpgsql as
             $$ begin raise exception 'disk full: canary'; end $$;
         create trigger refuse before insert on oauth_tokens
             for each row execute function refuse()",
    )
    .await;

    let done = flow.finish().await;

    assert_eq!(problem(&done), (503, "storage_unavailable".to_owned()));
    assert!(!done.header("retry-after").is_empty());
    assert_eq!(done.header("location"), "");
    assert!(!done.text.contains("canary"), "{}", done.text);
    assert_eq!(count(&api, "oauth_tokens").await, "0");
    assert_eq!(problem(&api.token("gmail").await).0, 404);
}

#[tokio::test]
async fn a_failed_save_is_a_page_in_a_browser() {
    let api = TestApi::start().await;
    let flow = consented(&api, &authorize("gmail")).await;
    database::execute(
        &api.database_url,
        "drop table pending_authorizations; create view pending_authorizations as select 1 as id",
    )
    .await;

    let request = api
        .request("GET", api.local(&flow.callback))
        .header("accept", "text/html")
        .header("cookie", flow.browser.cookie_header());
    let page = send(request).await;

    assert_eq!(page.status, 503);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(!page.header("retry-after").is_empty());
    assert!(!page.text.contains("is connected"), "{}", page.text);
}

#[tokio::test]
async fn a_reconnect_renews_the_same_connection() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let id = connection_id(&api, "gmail").await;
    api.provider.kill_grants();
    api.set_expiry("gmail", -1).await;
    let dead = api.token("gmail").await;

    let again = api.connect("gmail").await;

    assert_eq!(problem(&dead), (409, "reauthorization_required".to_owned()));
    assert_eq!(outcome(&again), connected());
    assert_eq!(connection_id(&api, "gmail").await, id);
    let recovered = "connection_events where type = 'connection.recovered'";
    assert_eq!(count(&api, recovered).await, "1");
}

#[tokio::test]
async fn a_session_cookie_begins_as_well_as_a_session_in_the_query() {
    let api = TestApi::start().await;
    let mut browser = api.visitor();
    let own = session("default", "default");
    let signed_in = browser.get(&format!("/connect?session={own}")).await;

    let done = browser
        .connect("/api/oauth/gmail/authorize", &Consent::default())
        .await;

    assert_eq!(signed_in.status, 303);
    assert_eq!(signed_in.header("location"), "/connect");
    assert_eq!(outcome(&done), connected());
    assert_eq!(
        api.get_as(KEY, "/api/token?provider=gmail").await.status,
        200
    );
}
