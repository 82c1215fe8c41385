//! An SQS event: each message of the batch stands for a request, and says so in the form
//! `{"method": "POST", "path": "/api/…"}`.
//!
//! Such an event can only come from the function's own event source mapping: what arrives over
//! HTTP is wrapped into an event of another form. So each request is given the scheduler's
//! secret, which no message has to carry.

use std::borrow::Cow;
use std::env;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::Full;
use serde::{Deserialize, Serialize};

use crate::function::Function;

/// The messages of one invocation.
#[derive(Deserialize)]
pub struct Batch<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow)]
    event_source: Cow<'a, str>,
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
}

/// Which messages were not done: SQS hands those out again, and no others.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

impl<'a> Batch<'a> {
    /// Reads an invocation's JSON; `None` if it is no SQS event.
    pub fn parse(json: &'a str) -> Option<Batch<'a>> {
        let batch: Batch = serde_json::from_str(json).ok()?;
        let all = batch.records.iter();
        let queued = all.clone().count() > 0
            && all
                .into_iter()
                .all(|record| record.event_source == "aws:sqs");
        queued.then_some(batch)
    }

    /// Has every message answered, one after the other. One is done when its answer is a
    /// success.
    pub async fn answer(self, function: &Function) -> Done {
        let mut done = Done::default();
        for record in self.records {
            let outcome = match request(&record.body) {
                Some(request) => outcome(&function.answer(request).await),
                None => Some("unusable".to_owned()),
            };
            if let Some(reason) = outcome {
                println!(
                    r#"{{"level":"error","event":"queue_message_failed","reason":"{reason}"}}"#
                );
                done.batch_item_failures.push(Failure {
                    item_identifier: record.message_id.into_owned(),
                });
            }
        }
        done
    }
}

/// Why a message has to be handed out again.
fn outcome(response: &Response<Body>) -> Option<String> {
    let status = response.status();
    (!status.is_success()).then(|| format!("status {}", status.as_u16()))
}

fn request(body: &str) -> Option<Request<Full<Bytes>>> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        method: Cow<'a, str>,
        #[serde(borrow)]
        path: Cow<'a, str>,
    }
    let message: Message = serde_json::from_str(body).ok()?;
    let mut request = Request::builder()
        .method(Method::from_bytes(message.method.as_bytes()).ok()?)
        .uri(message.path.strip_prefix('/').map(|_| &*message.path)?)
        .header(header::HOST, "queue.internal");
    if let Ok(secret) = env::var("CRON_SECRET") {
        request = request.header(header::AUTHORIZATION, format!("Bearer {secret}"));
    }
    request.body(Full::default()).ok()
}

#[cfg(test)]
mod tests {
    use super::{Batch, request};

    #[test]
    fn only_an_sqs_event_is_a_batch() {
        let record = |source: &str| {
            format!(r#"{{"messageId":"m","receiptHandle":"r","body":"","eventSource":"{source}"}}"#)
        };
        let event = |records: &str| format!(r#"{{"Records":[{records}]}}"#);
        let (ours, other) = (record("aws:sqs"), record("aws:s3"));

        assert!(Batch::parse(&event(&ours)).is_some());
        assert!(Batch::parse(&event(&format!("{ours},{other}"))).is_none());
        for json in [&event(""), "{}", "[]", r#"{"version":"2.0","Records":7}"#] {
            assert!(Batch::parse(json).is_none(), "{json}");
        }
    }

    #[test]
    fn a_message_is_a_request_to_a_path() {
        let parsed = request(r#"{"method":"POST","path":"/api/a?b=1"}"#).expect("a request");
        assert_eq!(
            (parsed.method().as_str(), parsed.uri().path()),
            ("POST", "/api/a")
        );

        for bad in [
            "",
            "{}",
            r#"{"method":"POST","path":"http://evil.test/"}"#,
            r#"{"method":"NO SUCH","path":"/"}"#,
            r#"{"method":"POST","path":""}"#,
        ] {
            assert!(request(bad).is_none(), "{bad}");
        }
    }
}
