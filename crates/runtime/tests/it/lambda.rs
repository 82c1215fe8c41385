//! What only Lambda does: events.

use grantkeep_runtime::test_hosts::{Kind, TestHost};
use serde_json::{Value, json};

use crate::{probe, start};

/// The least that a schedule can be configured to send in place of a request.
fn schedule(path: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "headers": {"authorization": "Bearer cron"},
        "requestContext": {"http": {"method": "GET", "path": path}},
        "isBase64Encoded": false,
    })
}

fn body(reply: &Value) -> Value {
    serde_json::from_str(reply["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_schedule_is_a_request() {
    let host = start(Kind::Lambda).await;

    let reply = host.invoke(schedule("/api/cron/poll")).await.unwrap();

    let seen = body(&reply);
    assert_eq!(seen["uri"], "/api/cron/poll");
    assert_eq!(seen["headers"]["authorization"][0], "Bearer cron");
}

#[tokio::test]
async fn a_path_that_the_http_api_decoded_is_encoded_again() {
    let host = start(Kind::Lambda).await;

    for (decoded, encoded) in [
        ("/a b/\u{e9}", "/a%20b/%C3%A9"),
        ("/a?b#c", "/a%3Fb%23c"),
        ("/100%/x", "/100%25/x"),
        ("/\"<>\\^`{|}", "/%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("/kept%20%C3%A9", "/kept%20%C3%A9"),
        ("no-slash", "/no-slash"),
    ] {
        let reply = host.invoke(schedule(decoded)).await.unwrap();
        assert_eq!(body(&reply)["uri"], encoded);
    }
}

#[tokio::test]
async fn the_cookies_of_an_event_become_one_header() {
    let host = start(Kind::Lambda).await;
    let mut event = schedule("/");
    event["headers"]["cookie"] = "a=1".into();
    event["cookies"] = json!(["a=1", "b=2"]);

    let reply = host.invoke(event).await.unwrap();

    assert_eq!(body(&reply)["headers"]["cookie"], json!(["a=1; b=2"]));
}

#[tokio::test]
async fn the_domain_stands_in_for_a_missing_host_header() {
    let host = start(Kind::Lambda).await;
    let mut event = schedule("/");
    event["requestContext"]["domainName"] = "api.test".into();

    let reply = host.invoke(event).await.unwrap();

    assert_eq!(body(&reply)["headers"]["host"], json!(["api.test"]));
}

#[tokio::test]
async fn text_is_replied_as_text_and_cookies_apart_from_headers() {
    let host = start(Kind::Lambda).await;

    let reply = host.invoke(schedule("/cookies")).await.unwrap();

    assert_eq!(reply["isBase64Encoded"], false);
    assert_eq!(reply["cookies"].as_array().unwrap().len(), 2);
    assert_eq!(reply["headers"]["set-cookie"], Value::Null);
    assert_eq!(reply["headers"]["vary"], "cookie, origin");
}

#[tokio::test]
async fn an_event_that_is_no_request_is_answered_and_not_reported_as_an_error() {
    let host = start(Kind::Lambda).await;
    let mut bad_body = schedule("/");
    bad_body["body"] = "*secret*".into();
    bad_body["isBase64Encoded"] = true.into();
    let mut bad_method = schedule("/");
    bad_method["requestContext"]["http"]["method"] = "NO SUCH".into();

    for event in [
        json!({"source": "aws.events", "detail": "secret"}),
        json!([]),
        bad_body,
        bad_method,
    ] {
        let reply = host.invoke(event).await.unwrap();
        assert_eq!(reply["statusCode"], 400);
        assert_eq!(body(&reply)["code"], "invalid_request");
    }

    let stopped = host.stop().await;
    assert_eq!(
        stopped.stdout.matches("unusable_invocation").count(),
        4,
        "{}",
        stopped.stdout
    );
    assert!(!stopped.stdout.contains("secret"), "{}", stopped.stdout);
}

/// A message as AWS delivers it.
fn message(id: &str, body: &Value) -> Value {
    json!({
        "messageId": id,
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...",
        "body": body.to_string(),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1545082649183",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1545082649185",
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue",
        "awsRegion": "us-east-2",
    })
}

#[tokio::test]
async fn messages_of_a_queue_are_requests_and_only_those_that_failed_come_again() {
    let host = TestHost::start(Kind::Lambda, &probe(), &[("CRON_SECRET", "the-secret")]).await;
    let post = |path: &str| json!({"method": "POST", "path": path});
    let records = json!({"Records": [
        message("good", &post("/guarded?limit=5")),
        message("bad", &post("/guarded")),
        message("panics", &post("/panic")),
        message("unusable", &json!({"secret": 1})),
        message("also-good", &post("/guarded?limit=6")),
    ]});

    let reply = host.invoke(records).await.unwrap();

    let failed = ["bad", "panics", "unusable"].map(|id| json!({"itemIdentifier": id}));
    assert_eq!(reply, json!({"batchItemFailures": failed}));
    let stopped = host.stop().await;
    assert_eq!(stopped.stdout.matches("queue_message_failed").count(), 3);
    assert!(!stopped.stdout.contains("secret"), "{}", stopped.stdout);
}

#[tokio::test]
async fn nobody_is_a_queue_over_http() {
    let host = TestHost::start(Kind::Lambda, &probe(), &[("CRON_SECRET", "the-secret")]).await;
    let mut event = schedule("/guarded");
    event["requestContext"]["http"]["method"] = "POST".into();
    event["rawQueryString"] = "limit=5".into();
    event["body"] =
        json!({"Records": [message("m", &json!({"method": "POST", "path": "/guarded?a"}))]})
            .to_string()
            .into();
    event["Records"] = json!([message(
        "m",
        &json!({"method": "POST", "path": "/guarded?a"})
    )]);

    let reply = host.invoke(event).await.unwrap();

    assert_eq!(reply["statusCode"], 401);
}
