//! The mailbox: listing, searching, showing, history, faults and deliveries.

use grantkeep_demo_provider::client::DEMO_CLIENT_ID;
use grantkeep_demo_provider::{ApiFault, Delivery};
use serde_json::{Value, json};

use crate::harness::{Answer, Demo, READ, SEND};

const MAIL: &str = "/gmail/v1/users/me";
const METADATA: &str = "https://www.googleapis.com/auth/gmail.metadata";

fn token(demo: &Demo, account: &str, scope: &str) -> String {
    let issued = demo.provider.issue(account, DEMO_CLIENT_ID, scope);
    issued.expect("the account exists").access_token
}

fn delivery(account: &str, from: &str, subject: &str) -> Delivery {
    Delivery {
        account: account.to_owned(),
        from: from.to_owned(),
        subject: subject.to_owned(),
        text: "It's <b>here</b> & now".to_owned(),
        ..Delivery::default()
    }
}

fn ids(answer: &Value) -> Vec<String> {
    let messages = answer["messages"].as_array().cloned().unwrap_or_default();
    messages
        .iter()
        .map(|message| message["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn messages_are_listed_newest_first_in_pages_that_new_mail_does_not_move() {
    let demo = Demo::start().await;
    let token = token(&demo, "bob@example.test", READ);
    let all: Vec<Delivery> = (0..5)
        .map(|n| Delivery {
            received_at_ms: Some(1_000_000 + n),
            ..delivery("bob@example.test", "ann@sender.example", &format!("{n}"))
        })
        .collect();
    let delivered = demo.provider.deliver(&all).expect("delivered");

    let first = demo
        .get_as(&token, &format!("{MAIL}/messages?maxResults=2"))
        .await
        .json();
    demo.provider
        .deliver(&[delivery("bob@example.test", "x@y.example", "newer")])
        .expect("delivered");
    let next = first["nextPageToken"].as_str().expect("a next page");
    let second = demo
        .get_as(
            &token,
            &format!("{MAIL}/messages?maxResults=500&pageToken={next}"),
        )
        .await
        .json();

    let mut newest_first = delivered.clone();
    newest_first.reverse();
    assert_eq!([ids(&first), ids(&second)].concat(), newest_first);
    assert!(second.get("nextPageToken").is_none());
}

#[tokio::test]
async fn a_search_finds_by_sender_and_leaves_spam_out() {
    let demo = Demo::start().await;
    let token = token(&demo, "bob@example.test", READ);
    let spam = Delivery {
        labels: vec!["SPAM".to_owned()],
        ..delivery("bob@example.test", "ann@sender.example", "Win")
    };
    let delivered = demo
        .provider
        .deliver(&[
            delivery("bob@example.test", "Ann <ann@sender.example>", "One"),
            delivery("bob@example.test", "eve@other.example", "Two"),
            spam,
        ])
        .expect("delivered");
    let search = async |q: &str| {
        let path = format!("{MAIL}/messages?q={q}");
        ids(&demo.get_as(&token, &path).await.json())
    };

    assert_eq!(search("from:ann@sender.example").await, delivered[..1]);
    assert_eq!(search("from:ann+in:anywhere").await.len(), 2);
    assert_eq!(search("from:ann+OR+from:eve").await.len(), 2);
    assert!(search("from:nobody").await.is_empty());
}

#[tokio::test]
async fn each_format_shows_its_part_and_metadata_only_its_own() {
    let demo = Demo::start().await;
    let [read, metadata] = [READ, METADATA].map(|scope| token(&demo, "bob@example.test", scope));
    let mut mail = delivery(
        "bob@example.test",
        "Ann <ann@sender.example>",
        "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=",
    );
    mail.received_at_ms = Some(1_700_000_000_123);
    let id = demo.provider.deliver(&[mail]).expect("delivered").remove(0);
    let show = async |token: &str, query: &str| {
        demo.get_as(token, &format!("{MAIL}/messages/{id}?{query}"))
            .await
    };

    let shown = show(&metadata, "format=metadata&metadataHeaders=Subject")
        .await
        .json();
    assert_eq!(
        shown["payload"]["headers"],
        json!([{"name": "Subject", "value": "Grüße"}])
    );
    assert_eq!(shown["internalDate"], "1700000000123");
    assert_eq!(
        shown["snippet"],
        "It&#39;s &lt;b&gt;here&lt;/b&gt; &amp; now"
    );
    assert_eq!(shown["labelIds"], json!(["INBOX", "UNREAD"]));
    assert!(
        show(&metadata, "format=minimal")
            .await
            .json()
            .get("payload")
            .is_none()
    );
    assert_eq!(show(&metadata, "format=full").await.status, 403);
    assert_eq!(show(&metadata, "").await.status, 403);
    let full = show(&read, "").await.json();
    assert_eq!(full["payload"]["mimeType"], "text/plain");
    assert!(show(&read, "format=raw").await.json()["raw"].is_string());
    assert_eq!(
        demo.get_as(&read, &format!("{MAIL}/messages/0000"))
            .await
            .status,
        404
    );
    assert_eq!(
        demo.get_as(&read, "/gmail/v1/users/alice@example.test/messages")
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn history_tells_what_came_in_since_and_404_when_it_was_forgotten() {
    let demo = Demo::start().await;
    let token = token(&demo, "bob@example.test", READ);
    let now = async || {
        let profile = demo.get_as(&token, &format!("{MAIL}/profile")).await.json();
        profile["historyId"].as_str().expect("an id").to_owned()
    };
    let since = async |start: &str, more: &str| {
        let path = format!("{MAIL}/history?historyTypes=messageAdded&startHistoryId={start}{more}");
        demo.get_as(&token, &path).await
    };
    let before = now().await;

    let quiet = since(&before, "").await.json();
    let mail = ["a", "b", "c"].map(|subject| delivery("bob@example.test", "x@y.example", subject));
    let delivered = demo.provider.deliver(&mail).expect("delivered");
    let first = since(&before, "&maxResults=2").await.json();
    let next = first["nextPageToken"].as_str().expect("a next page");
    let second = since(&before, &format!("&pageToken={next}")).await.json();

    assert_eq!(quiet, json!({"historyId": before}));
    let seen: Vec<Value> = [&first, &second]
        .iter()
        .flat_map(|page| page["history"].as_array().expect("changes"))
        .map(|change| change["messagesAdded"][0]["message"]["id"].clone())
        .collect();
    assert_eq!(seen, delivered);
    assert_eq!(second["historyId"], now().await);
    demo.provider.forget_history();
    assert_eq!(since(&before, "").await.status, 404);
    assert_eq!(since(&now().await, "").await.status, 200);
    assert_eq!(since("x", "").await.status, 400);
    demo.provider.update(|knobs| knobs.history_too_old = true);
    assert_eq!(since(&now().await, "").await.status, 404);
}

#[tokio::test]
async fn faults_hit_the_named_accounts_so_many_times() {
    let demo = Demo::start().await;
    let [alice, bob] =
        ["alice@example.test", "bob@example.test"].map(|account| token(&demo, account, READ));
    let list = async |token: &str| demo.get_as(token, &format!("{MAIL}/messages")).await;
    demo.provider.update(|knobs| {
        knobs.api_fault = Some(ApiFault::RateLimitExceeded);
        knobs.api_fault_accounts = vec!["bob@example.test".to_owned()];
        knobs.api_fail_next_n = Some(1);
        knobs.api_retry_after = Some("7".to_owned());
    });

    assert_eq!(list(&alice).await.status, 200);
    let limited = list(&bob).await;
    assert_eq!(limited.status, 403);
    assert_eq!(
        limited.json()["error"]["errors"][0]["reason"],
        "rateLimitExceeded"
    );
    assert_eq!(limited.headers["retry-after"], "7");
    assert_eq!(list(&bob).await.status, 200);

    for (fault, status) in [
        (ApiFault::TooManyRequests, 429),
        (ApiFault::InternalError, 500),
        (ApiFault::Unavailable, 503),
    ] {
        demo.provider.update(|knobs| {
            knobs.api_fault = Some(fault);
            knobs.api_fail_next_n = None;
        });
        assert_eq!(list(&bob).await.status, status);
    }
    demo.provider.update(|knobs| {
        knobs.api_fault = None;
        knobs.rejected_access_tokens = vec![bob.clone()];
    });
    assert_eq!(list(&bob).await.status, 401);
    assert_eq!(list(&alice).await.status, 200);
    assert_eq!(demo.provider.calls_of("gmail.users.messages.list"), 8);
}

#[tokio::test]
async fn an_answer_that_is_lost_was_performed() {
    let demo = Demo::start().await;
    let token = token(&demo, "alice@example.test", SEND);
    demo.provider
        .update(|knobs| knobs.api_fault = Some(ApiFault::LostAnswer));

    let sent = demo
        .http
        .post(demo.url(&format!("{MAIL}/messages/send")))
        .bearer_auth(&token)
        .json(&json!({"raw": "VG86IGJvYkBleGFtcGxlLnRlc3QNCg0KSGk"}))
        .send()
        .await;

    assert!(sent.is_err());
    assert_eq!(demo.provider.mailbox("bob@example.test").len(), 1);
}

#[tokio::test]
async fn thousands_of_mailboxes_are_filled_over_http() {
    let demo = Demo::start().await;
    let deliveries: Vec<Value> = (0..5000)
        .map(|n| json!({"account": format!("user{n}@example.test"), "from": "a@b.example"}))
        .collect();

    let post = demo
        .http
        .post(demo.url("/control/messages"))
        .json(&deliveries);
    let answer = Answer::of(post).await;

    assert_eq!(answer.json()["ids"].as_array().map(Vec::len), Some(5000));
    let token = token(&demo, "user4999@example.test", READ);
    let listed = demo
        .get_as(&token, &format!("{MAIL}/messages"))
        .await
        .json();
    assert_eq!(ids(&listed).len(), 1);
    let calls = demo.get("/control/calls").await.json();
    assert_eq!(calls, json!({"gmail.users.messages.list": 1}));

    let unknown = json!({"account": "nobody@example.test"});
    let post = demo.http.post(demo.url("/control/messages")).json(&unknown);
    assert_eq!(Answer::of(post).await.status, 400);
    let post = demo.http.post(demo.url("/control/forget-history"));
    assert_eq!(Answer::of(post).await.status, 204);
}
