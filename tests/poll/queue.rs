//! On AWS the schedule puts messages into a queue, and each has an instance poll some of what
//! is due.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use grantkeep_runtime::test_hosts::{Kind, TestHost, binary};
use grantkeep_tests::TestApi;
use grantkeep_tests::instance::Served;
use serde_json::{Value, json};

use crate::support::{ANN, calls, deliver, execute, poll, stored, user, watched};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-central-1";

/// What stands in for SQS.
#[derive(Clone, Default)]
struct Sqs {
    bodies: Arc<Mutex<Vec<String>>>,
    problems: Arc<Mutex<Vec<String>>>,
    down: Arc<Mutex<bool>>,
}

impl Sqs {
    async fn start(&self) -> Served {
        let router = Router::new()
            .route("/", post(send_batch))
            .with_state(self.clone());
        Served::start(router).await
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.bodies.lock().expect("no panic"))
    }
}

async fn send_batch(
    State(sqs): State<Sqs>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    if *sqs.down.lock().expect("no panic") {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({})));
    }
    if let Err(problem) = signed(&headers, &body) {
        sqs.problems.lock().expect("no panic").push(problem);
        return (
            StatusCode::FORBIDDEN,
            Json(json!({"__type": "AccessDenied"})),
        );
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let entries = asked["Entries"].as_array().cloned().unwrap_or_default();
    if headers["x-amz-target"] != "AmazonSQS.SendMessageBatch"
        || asked["QueueUrl"]
            .as_str()
            .is_none_or(|url| !url.ends_with("/123456789012/poll"))
        || !(1..=10).contains(&entries.len())
    {
        return (StatusCode::BAD_REQUEST, Json(json!({})));
    }
    let ids: Vec<Value> = entries
        .iter()
        .map(|entry| json!({"Id": entry["Id"]}))
        .collect();
    let text = |entry: &Value| entry["MessageBody"].as_str().unwrap_or_default().to_owned();
    let mut bodies = sqs.bodies.lock().expect("no panic");
    bodies.extend(entries.iter().map(text));
    (
        StatusCode::OK,
        Json(json!({"Successful": ids, "Failed": []})),
    )
}

/// Checks the signature as AWS describes it, from the request alone.
fn signed(headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = header("authorization").ok_or("no authorization")?;
    let fields: BTreeMap<&str, &str> = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .ok_or("another scheme")?
        .split(", ")
        .filter_map(|field| field.split_once('='))
        .collect();
    let time = header("x-amz-date").ok_or("no date")?;
    let scope = format!("{}/{REGION}/sqs/aws4_request", &time[..8]);
    if fields["Credential"] != format!("ASIAEXAMPLE/{scope}") {
        return Err(format!("credential {}", fields["Credential"]));
    }
    for needed in ["host", "x-amz-date", "x-amz-security-token", "x-amz-target"] {
        if !fields["SignedHeaders"]
            .split(';')
            .any(|name| name == needed)
        {
            return Err(format!("{needed} is not signed"));
        }
    }
    let lines: String = fields["SignedHeaders"]
        .split(';')
        .map(|name| format!("{name}:{}\n", header(name).unwrap_or_default()))
        .collect();
    let hash = |bytes: &[u8]| hex(digest(&SHA256, bytes).as_ref());
    let request = format!(
        "POST\n/\n\n{lines}\n{}\n{}",
        fields["SignedHeaders"],
        hash(body)
    );
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hash(request.as_bytes())
    );
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in [&time[..8], REGION, "sqs", "aws4_request"] {
        key = mac(&key, part);
    }
    match hex(&mac(&key, &text)) == fields["Signature"] {
        true => Ok(()),
        false => Err("another signature".to_owned()),
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn api(queue: &Served) -> TestApi {
    TestApi::builder()
        .variable(
            "POLL_QUEUE_URL",
            &format!("{}/123456789012/poll", queue.origin),
        )
        .variable("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE")
        .variable("AWS_SECRET_ACCESS_KEY", SECRET)
        .variable("AWS_SESSION_TOKEN", "a-session-token")
        .variable("AWS_REGION", REGION)
        .start()
        .await
}

/// The cron function under Lambda.
async fn lambda(api: &TestApi) -> TestHost {
    let program = tokio::task::spawn_blocking(|| binary("grantkeep", "cron"));
    let program = program.await.expect("the binary");
    let variables: Vec<(&str, &str)> = api
        .variables
        .iter()
        .filter(|(name, _)| *name != "AWS_REGION")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    TestHost::start(Kind::Lambda, &program, &variables).await
}

/// The messages as Lambda delivers them.
fn event(bodies: &[String]) -> Value {
    let record = |(number, body): (usize, &String)| {
        json!({
            "messageId": format!("059f36b4-87a3-44ab-83d2-66197577{number:04}"),
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...",
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183",
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": "1545082649185",
            },
            "messageAttributes": {},
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:poll",
            "awsRegion": REGION,
        })
    };
    let records: Vec<Value> = bodies.iter().enumerate().map(record).collect();
    json!({"Records": records})
}

#[tokio::test]
async fn the_schedule_queues_what_is_due_and_a_message_polls_it() {
    let sqs = Sqs::default();
    let queue = sqs.start().await;
    let api = api(&queue).await;
    assert_eq!(poll(&api).await["enqueued"], 0);
    for number in 0..30 {
        watched(&api, &user(number)).await;
        deliver(&api, &user(number), ANN, "hello");
    }

    let done = poll(&api).await;

    let problems = sqs.problems.lock().expect("no panic").clone();
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        (&done["enqueued"], &done["mailboxes"]),
        (&1.into(), &0.into())
    );
    assert_eq!(stored(&api).await, 0);
    let bodies = sqs.take();
    let host = lambda(&api).await;
    // As after a delivery that came twice.
    for _ in 0..2 {
        let reply = host.invoke(event(&bodies)).await.expect("an answer");
        assert_eq!(reply, json!({"batchItemFailures": []}));
    }
    assert_eq!(stored(&api).await, 30);
    assert_eq!(calls(&api, "messages.get"), 30);
}

#[tokio::test]
async fn there_is_a_message_for_each_five_hundred_mailboxes() {
    let sqs = Sqs::default();
    let queue = sqs.start().await;
    let api = api(&queue).await;
    watched(&api, &user(0)).await;
    // Eleven messages: more than SQS takes at once.
    execute(
        &api,
        "with more as (
             insert into oauth_tokens (id, provider, workspace_id, actor_id, account, client_id,
                                       status)
             select gen_random_uuid(), 'gmail', 'many', n::text, n::text, 'c', 'active'
               from generate_series(1, 5200) as n returning id)
         insert into gmail_mailboxes (connection_id) select id from more",
    )
    .await;

    let done = poll(&api).await;

    assert_eq!(done["enqueued"], 11);
    assert_eq!(sqs.take().len(), 11);
}

#[tokio::test]
async fn a_message_that_could_not_be_done_comes_again() {
    let sqs = Sqs::default();
    let queue = sqs.start().await;
    let mut api = api(&queue).await;
    watched(&api, &user(0)).await;
    poll(&api).await;
    let bodies = sqs.take();
    let dead = "postgres://nobody@127.0.0.1:1/none".to_owned();
    api.variables.insert("DATABASE_URL".to_owned(), dead);
    let host = lambda(&api).await;

    let reply = host.invoke(event(&bodies)).await.expect("an answer");

    let failed = json!([{"itemIdentifier": "059f36b4-87a3-44ab-83d2-661975770000"}]);
    assert_eq!(reply["batchItemFailures"], failed);
}

#[tokio::test]
async fn without_its_queue_the_scheduled_invocation_polls_itself() {
    let sqs = Sqs::default();
    let queue = sqs.start().await;
    let api = api(&queue).await;
    watched(&api, &user(0)).await;
    deliver(&api, &user(0), ANN, "hello");
    *sqs.down.lock().expect("no panic") = true;

    let done = poll(&api).await;

    assert_eq!(
        (&done["enqueued"], &done["messages"]),
        (&0.into(), &1.into())
    );
}
