//! Signing in from a page of another origin, in a real browser: what it asks before it
//! posts, and whether it keeps the cookie.

use axum::Router;
use axum::response::Html;
use grantkeep_tests::TestApi;
use grantkeep_tests::browser::Browser;
use grantkeep_tests::instance::Served;
use serde_json::{Value, json};

use crate::page::{PATH, code_of, count};

/// An application's page on an origin of its own.
async fn application() -> Served {
    let page = async || Html("<!doctype html><title>Application</title>");
    Served::start(Router::new().fallback(page)).await
}

/// What `fetch` of the page sees: status and body, or that it was not allowed to.
async fn fetch(browser: &Browser, address: &str, options: &Value) -> Value {
    let script = format!(
        "return fetch('{address}', {options})
            .then(async (answer) => [answer.status, await answer.json().catch(() => null)])
            .catch((error) => error.name)"
    );
    browser.run(&script).await
}

fn posting(code: &str) -> Value {
    json!({
        "method": "POST",
        "credentials": "include",
        "headers": {"Content-Type": "application/json", "X-Requested-With": "XMLHttpRequest"},
        "body": json!({"code": code}).to_string(),
    })
}

#[tokio::test]
async fn a_listed_page_signs_in_reads_its_connections_and_signs_out() {
    let application = application().await;
    let api = TestApi::builder()
        .variable("RETURN_TO_ORIGINS", &application.origin)
        .start()
        .await;
    let (own, list) = (
        format!("{}{PATH}", api.origin),
        format!("{}/api/connections", api.origin),
    );
    let code = code_of(&api, "alice@example.test").await;
    let browser = Browser::start().await;
    browser.open(&application.origin).await;
    let with_cookie = json!({"credentials": "include"});

    let before = fetch(&browser, &list, &with_cookie).await;
    let signed_in = fetch(&browser, &own, &posting(&code)).await;
    let listed = fetch(&browser, &list, &with_cookie).await;
    let without = fetch(&browser, &list, &json!({"credentials": "omit"})).await;
    let leave = json!({
        "method": "DELETE", "credentials": "include",
        "headers": {"X-Requested-With": "XMLHttpRequest"},
    });
    let left = fetch(&browser, &own, &leave).await;
    let after = fetch(&browser, &list, &with_cookie).await;

    let statuses =
        [&before, &signed_in, &listed, &without, &left, &after].map(|seen| seen[0].clone());
    assert_eq!(
        statuses,
        [401, 200, 200, 401, 204, 401].map(Value::from),
        "{signed_in}"
    );
    assert_eq!(
        listed[1]["connections"],
        json!([signed_in[1]["connection"]])
    );
}

#[tokio::test]
async fn st09_a_page_that_is_not_listed_cannot_even_ask() {
    let stranger = application().await;
    let api = TestApi::start().await;
    let own = format!("{}{PATH}", api.origin);
    let code = code_of(&api, "alice@example.test").await;
    let browser = Browser::start().await;
    browser.open(&stranger.origin).await;

    let refused = fetch(&browser, &own, &posting(&code)).await;
    // What needs no permission to be sent: no mark, no JSON.
    let plain = json!({
        "method": "POST", "mode": "no-cors", "credentials": "include",
        "headers": {"Content-Type": "text/plain"}, "body": json!({"code": code}).to_string(),
    });
    fetch(&browser, &own, &plain).await;

    assert_eq!(refused, json!("TypeError"));
    assert_eq!(api.provider.token_requests(), 0);
    assert_eq!(count(&api, "users").await, 0);
}
