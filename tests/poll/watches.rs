//! Who may watch which mailbox for what.

use grantkeep_tests::api::{ACME_KEY, KEY, READ_KEY, session};
use grantkeep_tests::http::send;
use grantkeep_tests::{Consent, Reply, TestApi};
use serde_json::{Value, json};

use crate::support::{ANN, connected, deliver, execute, poll, poll_again, subjects, user};

const WATCHES: &str = "/api/gmail/watches";

async fn create(api: &TestApi, body: Value) -> Reply {
    api.send_json("POST", WATCHES, &body).await
}

/// A request with a session as its bearer.
async fn as_actor(api: &TestApi, method: &str, path: &str, actor: &str, body: &Value) -> Reply {
    let request = api
        .request(method, path)
        .header(
            "authorization",
            format!("Bearer {}", session("default", actor)),
        )
        .header("content-type", "application/json")
        .body(body.to_string());
    send(request).await
}

#[tokio::test]
async fn a_sender_is_watched_from_the_first_call_on() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    let watch = create(&api, json!({"provider": "gmail", "sender": ANN})).await;
    let again = create(&api, json!({"provider": "gmail", "sender": ANN})).await;
    assert_eq!((watch.status, again.status), (201, 200), "{}", watch.text);
    assert_eq!(watch.json()["id"], again.json()["id"]);
    assert_eq!(watch.json()["query"], format!("from:\"{ANN}\""));
    assert_eq!(watch.json()["listed"], false);

    deliver(&api, "alice@example.test", ANN, "hello");
    poll(&api).await;
    assert_eq!(subjects(&api).await, ["hello"]);
    let listed = api.get(WATCHES).await.json();
    assert_eq!(listed["watches"][0]["listed"], true);
    assert!(listed["watches"][0]["last_polled_at"].is_string());

    let id = listed["watches"][0]["id"].as_str().unwrap_or_default();
    let gone = api.delete(&format!("{WATCHES}?id={id}")).await;
    assert_eq!(gone.json(), json!({"deleted": true}));
    deliver(&api, "alice@example.test", ANN, "too late");
    poll_again(&api).await;
    assert_eq!(subjects(&api).await, ["hello"]);
}

#[tokio::test]
async fn wk04_a_sender_cannot_widen_what_is_found() {
    let api = TestApi::start().await;
    connected(&api, &user(1)).await;
    deliver(&api, &user(1), "bob@other.example", "private");
    for sender in [
        "a@b.c OR is:anywhere",
        "a@b.c) OR (in:anywhere",
        "a@b.c} in:anywhere {",
    ] {
        let ask = json!({"provider": "gmail", "actor": user(1), "sender": sender});
        let watch = create(&api, ask).await;
        assert_eq!(watch.status, 201, "{}", watch.text);
    }
    let ask = json!({"provider": "gmail", "actor": user(1), "sender": "a\" OR \"b"});
    let refused = create(&api, ask).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["errors"][0]["field"], "sender");

    poll(&api).await;
    deliver(&api, &user(1), "bob@other.example", "private too");
    poll_again(&api).await;

    assert!(subjects(&api).await.is_empty());
}

#[tokio::test]
async fn wk01_a_connection_that_may_not_search_is_not_watched() {
    let api = TestApi::start().await;
    let id = connected(&api, &user(1)).await;
    let ask = || json!({"connection_id": id, "sender": ANN});
    let scopes = |names: &str| format!("update oauth_tokens set scopes = '{{{names}}}'");
    let metadata = "https://www.googleapis.com/auth/gmail.metadata";

    for unfit in [
        metadata,
        "https://www.googleapis.com/auth/gmail.send",
        "openid",
    ] {
        execute(&api, &scopes(unfit)).await;
        let refused = create(&api, ask()).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "insufficient_scope")
        );
        assert!(refused.json()["connect_url"].is_string());
    }
    let both = format!("{metadata},https://www.googleapis.com/auth/gmail.readonly");
    execute(&api, &scopes(&both)).await;
    let refused = create(&api, ask()).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("gmail.metadata"), "{}", refused.text);
    for fit in [
        "https://mail.google.com/",
        "https://www.googleapis.com/auth/gmail.modify",
    ] {
        execute(&api, &scopes(fit)).await;
        assert!(create(&api, ask()).await.status < 300);
    }
}

#[tokio::test]
async fn what_cannot_be_searched_for_is_named() {
    let api = TestApi::start().await;
    connected(&api, &user(1)).await;
    let with = |members: Value| {
        let mut ask = json!({"provider": "gmail", "actor": user(1)});
        grantkeep_providers::merge(&mut ask, members);
        ask
    };
    for (members, field) in [
        (json!({}), "query"),
        (json!({"query": "x", "sender": "y"}), "query"),
        (json!({"query": ""}), "query"),
        (json!({"query": "a\nb"}), "query"),
        (json!({"query": "(a"}), "query"),
        (json!({"query": "x".repeat(1025)}), "query"),
        (json!({"sender": "a\r\nb"}), "sender"),
        (json!({"sender": "x", "accuont": "z"}), "accuont"),
        (json!({"sender": "x", "actor": "\u{0}"}), "actor"),
        (
            json!({"sender": "x", "connection_id": "7"}),
            "connection_id",
        ),
    ] {
        let refused = create(&api, with(members)).await;
        assert_eq!(refused.status, 400, "{field}: {}", refused.text);
        assert!(refused.text.contains(field), "{field}: {}", refused.text);
    }
    let missing = create(&api, json!({"sender": "x"})).await;
    assert_eq!(missing.json()["errors"][0]["field"], "provider");
    let other = create(&api, json!({"provider": "google_calendar", "sender": "x"})).await;
    assert_eq!(other.status, 404, "{}", other.text);
}

#[tokio::test]
async fn a_dead_connection_and_several_accounts_are_told_apart() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let ask = json!({"provider": "gmail", "sender": ANN});
    execute(
        &api,
        "update oauth_tokens set status = 'reauthorization_required'",
    )
    .await;
    let dead = create(&api, ask.clone()).await;
    assert_eq!(
        (dead.status, dead.code().as_str()),
        (409, "reauthorization_required")
    );

    api.connect_with("gmail", &Consent::of("bob@example.test"))
        .await;
    let several = create(&api, ask).await;
    assert_eq!(
        (several.status, several.code().as_str()),
        (409, "ambiguous_account")
    );
    let one = json!({"provider": "gmail", "account": "bob@example.test", "sender": ANN});
    assert_eq!(create(&api, one).await.status, 201);
}

#[tokio::test]
async fn a_mailbox_has_at_most_twenty_watches() {
    let api = TestApi::start().await;
    let id = connected(&api, &user(1)).await;
    for number in 0..20 {
        let ask = json!({"connection_id": id, "query": format!("subject:{number}")});
        assert_eq!(create(&api, ask).await.status, 201);
    }

    let refused = create(&api, json!({"connection_id": id, "query": "one more"})).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    let known = create(&api, json!({"connection_id": id, "query": "subject:7"})).await;
    assert_eq!(known.status, 200);
}

#[tokio::test]
async fn a_session_watches_its_own_mailbox_and_no_other() {
    let api = TestApi::start().await;
    let (own, other) = (
        connected(&api, &user(1)).await,
        connected(&api, &user(2)).await,
    );

    let ask = json!({"provider": "gmail", "sender": ANN});
    let watch = as_actor(&api, "POST", WATCHES, &user(1), &ask).await;
    assert_eq!(
        watch.json()["connection_id"],
        own.to_string(),
        "{}",
        watch.text
    );
    // The actor in the body does not count.
    let ask = json!({"provider": "gmail", "actor": user(2), "sender": "x@y.z"});
    let watch = as_actor(&api, "POST", WATCHES, &user(1), &ask).await;
    assert_eq!(watch.json()["connection_id"], own.to_string());
    let ask = json!({"connection_id": other, "sender": ANN});
    let refused = as_actor(&api, "POST", WATCHES, &user(1), &ask).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (404, "not_connected")
    );

    let theirs = create(&api, json!({"connection_id": other, "sender": ANN}))
        .await
        .json();
    let id = theirs["id"].as_str().unwrap_or_default();
    let path = format!("{WATCHES}?id={id}");
    let kept = as_actor(&api, "DELETE", &path, &user(1), &Value::Null).await;
    assert_eq!(kept.json(), json!({"deleted": false}));
    let list = as_actor(&api, "GET", WATCHES, &user(1), &Value::Null)
        .await
        .json();
    assert_eq!(list["watches"].as_array().map(Vec::len), Some(2));
    let gone = as_actor(&api, "DELETE", &path, &user(2), &Value::Null).await;
    assert_eq!(gone.json(), json!({"deleted": true}));
}

#[tokio::test]
async fn a_key_watches_with_its_permissions_in_its_workspace() {
    let api = TestApi::start().await;
    let id = connected(&api, &user(1)).await;
    let ask = json!({"connection_id": id, "sender": ANN}).to_string();
    let post = |bearer: &str| {
        let request = api
            .request("POST", WATCHES)
            .header("authorization", format!("Bearer {bearer}"))
            .header("content-type", "application/json")
            .body(ask.clone());
        send(request)
    };

    assert_eq!(post(READ_KEY).await.status, 403);
    assert_eq!(post(KEY).await.status, 201);
    let foreign = api.get_as(ACME_KEY, WATCHES).await;
    assert_eq!(foreign.status, 403);
    let own = api
        .get_as(ACME_KEY, &format!("{WATCHES}?workspace=acme"))
        .await;
    assert_eq!(own.json()["watches"], json!([]));
    assert_eq!(send(api.request("GET", WATCHES)).await.status, 401);
}
