//! Reading what watches found.

use grantkeep_tests::TestApi;
use grantkeep_tests::api::{ACME_KEY, session};
use serde_json::Value;

use crate::support::{ANN, deliver, execute, poll, user, watched};

const MESSAGES: &str = "/api/gmail/messages";

/// Subjects of an answer, in its order.
fn subjects(page: &Value) -> Vec<&str> {
    let messages = page["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|message| message["subject"].as_str().unwrap_or_default())
        .collect()
}

/// Five messages of one mailbox, an hour apart, the fifth being the newest; one of another's.
async fn stored(api: &TestApi) {
    watched(api, &user(1)).await;
    watched(api, &user(2)).await;
    for number in 1..=5 {
        deliver(api, &user(1), ANN, &format!("m{number}"));
    }
    deliver(api, &user(2), ANN, "theirs");
    poll(api).await;
    execute(
        api,
        "update email_messages set received_at = timestamptz '2026-11-20 00:00Z'
             + make_interval(hours => substr(subject, 2)::int) where subject like 'm%'",
    )
    .await;
}

#[tokio::test]
async fn pages_are_newest_first_and_leave_nothing_out() {
    let api = TestApi::start().await;
    stored(&api).await;
    let mut path = format!("{MESSAGES}?actor={}&limit=2", user(1));
    let mut seen = Vec::new();
    loop {
        let page = api.get(&path).await.json();
        seen.extend(subjects(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("{MESSAGES}?actor={}&limit=2&cursor={next}", user(1));
    }

    assert_eq!(seen, ["m5", "m4", "m3", "m2", "m1"]);
}

#[tokio::test]
async fn messages_of_the_same_second_are_on_one_page_each() {
    let api = TestApi::start().await;
    stored(&api).await;
    execute(
        &api,
        "update email_messages set received_at = timestamptz '2026-11-20 00:00Z'",
    )
    .await;
    let first = api.get(&format!("{MESSAGES}?limit=4")).await.json();
    let next = first["next"].as_str().expect("a next page");
    let second = api
        .get(&format!("{MESSAGES}?limit=4&cursor={next}"))
        .await
        .json();

    let mut all = [subjects(&first), subjects(&second)].concat();
    all.sort_unstable();
    assert_eq!(all, ["m1", "m2", "m3", "m4", "m5", "theirs"]);
}

#[tokio::test]
async fn filters_narrow_what_is_listed() {
    let api = TestApi::start().await;
    stored(&api).await;
    let list = async |query: &str| api.get(&format!("{MESSAGES}?{query}")).await.json();

    let since = list("since=2026-11-20T04:00:00Z&until=2026-11-20T05:00:00Z").await;
    assert_eq!(subjects(&since), ["m4"]);
    let offset = list("since=2026-11-20T06:00:00%2B02:00&until=2026-11-20T05:00:00Z").await;
    assert_eq!(subjects(&offset), ["m4"]);
    let account = list(&format!("account={}", user(2))).await;
    assert_eq!(subjects(&account), ["theirs"]);
    let connection = account["messages"][0]["connection_id"]
        .as_str()
        .expect("an id");
    let by_id = list(&format!("connection_id={connection}")).await;
    assert_eq!(subjects(&by_id), ["theirs"]);
    assert_eq!(subjects(&list("sender=ANN@Sender.Example").await).len(), 6);
    assert!(subjects(&list("sender=sender.example").await).is_empty());
    assert_eq!(subjects(&list("provider=gmail").await).len(), 6);
    assert!(subjects(&list("provider=outlook").await).is_empty());
}

#[tokio::test]
async fn what_is_malformed_is_named() {
    let api = TestApi::start().await;

    for (query, field) in [
        ("since=yesterday", "since"),
        ("until=2026-11-20", "until"),
        ("cursor=x", "cursor"),
        ("limit=201", "limit"),
        ("connection_id=7", "connection_id"),
        ("sender=%00", "sender"),
    ] {
        let refused = api.get(&format!("{MESSAGES}?{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
}

#[tokio::test]
async fn nobody_reads_what_is_not_theirs() {
    let api = TestApi::start().await;
    stored(&api).await;

    let bearer = session("default", &user(2));
    let asked = format!("{MESSAGES}?actor={}", user(1));
    let own = api.get_as(&bearer, &asked).await.json();
    assert_eq!(subjects(&own), ["theirs"]);
    let other = session("acme", &user(2));
    assert!(subjects(&api.get_as(&other, MESSAGES).await.json()).is_empty());
    assert_eq!(api.get_as(ACME_KEY, MESSAGES).await.status, 403);
    let acme = api
        .get_as(ACME_KEY, &format!("{MESSAGES}?workspace=acme"))
        .await;
    assert!(subjects(&acme.json()).is_empty());
    assert_eq!(api.get_as("wrong", MESSAGES).await.status, 401);
}
