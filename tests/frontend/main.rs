//! The Rust lines of docs/frontend.md, run as they stand there. The other languages' are run
//! by the tests of `web/` and `clients/python/`.

#![allow(missing_docs)]

mod read_token;

use grantkeep_tests::TestApi;
use grantkeep_tests::api::{KEY, session};
use grantkeep_tests::http::client;
use read_token::{NoToken, access_token};

#[test]
fn the_page_shows_the_lines_that_are_run() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/frontend.md");
    let page = std::fs::read_to_string(root).expect("docs/frontend.md");
    let shown = page
        .split("\n```rust token\n")
        .nth(1)
        .and_then(|rest| rest.split("\n```").next())
        .expect("a block of Rust");

    assert_eq!(shown, include_str!("read_token.rs").trim_end());
}

#[tokio::test]
async fn another_function_reads_a_token_that_the_api_takes() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let http = client();

    let token = access_token(http, &api.origin, KEY, "gmail", "default").await;

    let whoami = http
        .get(format!("{}/api/whoami", api.provider.origin()))
        .bearer_auth(token.expect("a token"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(whoami.status(), 200);
}

#[tokio::test]
async fn where_nothing_is_connected_it_has_the_address_for_the_user() {
    let api = TestApi::start().await;

    let refused = access_token(client(), &api.origin, KEY, "gmail", "default").await;

    let Err(NoToken::SendUserTo(address)) = refused else {
        panic!("{refused:?}");
    };
    let visit = format!("{address}?session={}", session("default", "default"));
    let answer = client().get(visit).send().await.expect("an answer");
    assert_eq!(answer.status(), 302);
}

#[tokio::test]
async fn a_wrong_key_is_told_by_its_code() {
    let api = TestApi::start().await;

    let refused = access_token(client(), &api.origin, "gk_wrong", "gmail", "default").await;

    let Err(NoToken::Failed(said)) = refused else {
        panic!("{refused:?}");
    };
    assert!(said.contains("unauthorized"), "{said}");
}
