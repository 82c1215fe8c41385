//! A function that passes bodies on, for the tests of the hosts.

use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{any, get};
use bytes::Bytes;
use http_body_util::channel::Channel;

fn main() -> ExitCode {
    grantkeep_runtime::serve_passing(start)
}

fn start() -> Router {
    Router::new()
        .route("/drip", get(drip))
        .route("/echo", any(async |body: Body| body))
        .route("/large/{size}", get(large))
        .route("/panic", get(panic))
        .route("/refuse", any(async || "no"))
}

/// Three pieces with a pause before the second and the third.
async fn drip() -> Body {
    let (mut sender, body) = Channel::<Bytes>::new(1);
    tokio::spawn(async move {
        for piece in ["one", "two", "three"] {
            if sender.send_data(Bytes::from(piece)).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        println!("drip is done");
    });
    Body::new(body)
}

async fn large(Path(size): Path<usize>) -> Vec<u8> {
    vec![b'"'; size]
}

async fn panic() {
    panic!("the secret is hunter2");
}
