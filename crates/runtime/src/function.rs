//! One function: a request in, a finished answer out, whatever happens in between.

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio_util::task::TaskTracker;
use tower::{BoxError, Service};

use crate::body::{self, Refused};
use crate::problem;

/// The router and the requests that it is working on. Clones share both.
#[derive(Clone)]
pub struct Function {
    router: Router,
    requests: TaskTracker,
}

impl Function {
    pub fn new(router: Router) -> Function {
        Function {
            router,
            requests: TaskTracker::new(),
        }
    }

    /// The router's answer with its whole body; a panic and an oversized request are answered too.
    ///
    /// The work goes on in a task of its own if this future is dropped: a client that hangs up
    /// must not interrupt a refresh between the provider's answer and the save.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Bytes>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let answer = self.requests.spawn(answer(self.router.clone(), request));
        // The hook has logged the panic.
        answer.await.unwrap_or_else(|_panicked| problem::internal())
    }

    /// Waits until no request is being worked on.
    pub async fn idle(&self) {
        self.requests.close();
        self.requests.wait().await;
    }
}

async fn answer<B>(mut router: Router, request: Request<B>) -> Response<Bytes>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = request.into_parts();
    remove_platform_headers(&mut parts.headers);
    let awaits_continue = parts.headers.contains_key(header::EXPECT);
    let body = match body::read(body, awaits_continue).await {
        Ok(body) => axum::body::Body::from(body),
        Err(Refused::TooLarge) => return problem::body_too_large(),
        Err(Refused::Broken) => return problem::unreadable(),
    };

    let Ok(response) = router.call(Request::from_parts(parts, body)).await;

    let (parts, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => Response::from_parts(parts, body.to_bytes()),
        Err(_) => {
            // The cause stays out of the log: it can quote what another server sent.
            println!(r#"{{"level":"error","event":"response_body_failed"}}"#);
            problem::internal()
        }
    }
}

/// Vercel's runtime leaves these in; they are between the platform and the runtime, and with
/// another host anybody could send them.
fn remove_platform_headers(headers: &mut HeaderMap) {
    let internal = |name: &&HeaderName| name.as_str().starts_with("x-vercel-internal-");
    let names: Vec<HeaderName> = headers.keys().filter(internal).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}
