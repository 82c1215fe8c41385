//! AWS Lambda behind an HTTP API or a function URL: events of payload format 2.0.
//!
//! AWS's crate fetches events and delivers answers; the translation is ours (`event`, `reply`).
//! Its own translation panics on a path with a space in it, which HTTP APIs decode before they
//! deliver it, refuses a header value outside ASCII, and keeps one of several equal headers.

mod event;
mod reply;

use std::convert::Infallible;

use lambda_http::lambda_runtime::Runtime;
use lambda_http::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tower::BoxError;

use crate::function::Function;
use crate::problem;
use event::Event;
use reply::Reply;

/// Serves until Lambda ends the process.
pub async fn run(function: Function) -> Result<(), BoxError> {
    let service = service_fn(move |invocation: LambdaEvent<Box<RawValue>>| {
        let function = function.clone();
        async move {
            let response = match Event::parse(invocation.payload.get())
                .and_then(Event::into_request)
            {
                Ok(request) => function.answer(request).await,
                Err(unusable) => {
                    println!(
                        r#"{{"level":"error","event":"unusable_invocation","reason":"{unusable}"}}"#
                    );
                    problem::unreadable()
                }
            };
            Ok::<_, Infallible>(Reply(response))
        }
    });
    Runtime::new(service)
        .run()
        .await
        .map_err(|error| format!("Lambda's runtime ended: {error}").into())
}
