//! AWS Lambda behind an HTTP API or a function URL: events of payload format 2.0. And behind
//! an SQS queue, whose messages stand for requests (`queue`).
//!
//! AWS's crate fetches events and delivers answers; the translation is ours (`event`, `reply`).
//! Its own translation panics on a path with a space in it, which HTTP APIs decode before they
//! deliver it, refuses a header value outside ASCII, and keeps one of several equal headers.

mod event;
mod queue;
mod reply;

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use lambda_http::lambda_runtime::Runtime;
use lambda_http::{LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::value::RawValue;
use tower::BoxError;

use crate::function::{Function, broken_off};
use crate::problem;
use event::Event;
use queue::{Batch, Done};
use reply::Reply;

/// Serves until Lambda ends the process.
pub async fn run(function: Function) -> Result<(), BoxError> {
    let service = service_fn(move |invocation: LambdaEvent<Box<RawValue>>| {
        let function = function.clone();
        async move {
            let json = invocation.payload.get();
            Ok::<_, Infallible>(match Event::parse(json).and_then(Event::into_request) {
                Ok(request) => Outcome::http(whole(function.answer(request).await).await),
                Err(unusable) => match Batch::parse(json) {
                    Some(batch) => Outcome::Queue(batch.answer(&function).await),
                    None => {
                        println!(
                            r#"{{"level":"error","event":"unusable_invocation","reason":"{unusable}"}}"#
                        );
                        Outcome::http(problem::unreadable())
                    }
                },
            })
        }
    });
    Runtime::new(service)
        .run()
        .await
        .map_err(|error| format!("Lambda's runtime ended: {error}").into())
}

/// What Lambda is told.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Http(Reply),
    Queue(Done),
}

impl Outcome {
    fn http(response: Response<Bytes>) -> Outcome {
        Outcome::Http(Reply(response))
    }
}

/// The largest body of an answer, in bytes: Lambda takes 6 MiB of JSON, and base64 has four
/// characters for three bytes. A little is left for the headers.
const LIMIT: usize = (6 * 1024 * 1024 - 64 * 1024) / 4 * 3;

async fn whole(response: Response<Body>) -> Response<Bytes> {
    let (parts, body) = response.into_parts();
    match Limited::new(body, LIMIT).collect().await {
        Ok(body) => Response::from_parts(parts, body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => problem::answer_too_large(),
        Err(_) => broken_off(),
    }
}
