//! The reference's own example: an event is made in a calendar, and listed.

use std::process::Command;

use grantkeep_tests::api::{KEY, session};
use grantkeep_tests::{Consent, TestApi};
use serde_json::{Deserializer, Value, json};

const EVENTS: &str = "https://www.googleapis.com/auth/calendar.events";

/// The shell block of docs/api.md that speaks to a calendar.
fn example() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md");
    let page = std::fs::read_to_string(page).expect("docs/api.md");
    let mut blocks = page.split("\n```sh\n").skip(1);
    let block = blocks.find_map(|block| {
        let block = block.split("\n```").next()?;
        block
            .contains("/api/proxy/google_calendar")
            .then_some(block)
    });
    block.expect("an example").to_owned()
}

async fn run(api: &TestApi) -> Vec<Value> {
    let (example, origin) = (example(), api.origin.clone());
    let output = tokio::task::spawn_blocking(move || {
        Command::new("sh")
            .args(["-ec", &example])
            .env("PUBLIC_URL", origin)
            .env("KEY", KEY)
            .output()
            .expect("a shell")
    });
    let output = output.await.expect("ran");
    assert!(output.status.success(), "{output:?}");
    let answers: Result<Vec<Value>, _> = Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect();
    answers.unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

async fn connect(api: &TestApi, more: &str) {
    let session = session("default", "user-42");
    let path = format!("/api/oauth/google_calendar/authorize?session={session}{more}");
    let back = api.visitor().connect(&path, &Consent::default()).await;
    assert_eq!(
        back.location_parameter("connection").as_deref(),
        Some("connected")
    );
}

#[tokio::test]
async fn an_event_is_made_and_listed_as_the_reference_says() {
    let api = TestApi::start().await;
    connect(&api, &format!("&scope={EVENTS}")).await;

    let answers = run(&api).await;

    let [made, listed] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert_eq!(made["summary"], "Tea");
    assert_eq!(listed["items"], json!([made]));
}

#[tokio::test]
async fn without_the_scope_the_api_refuses_in_its_own_words() {
    let api = TestApi::start().await;
    connect(&api, "").await;

    let answers = run(&api).await;

    assert_eq!(answers[0]["error"]["code"], 403, "{answers:?}");
    assert_eq!(answers[1]["items"], json!([]), "{answers:?}");
}
