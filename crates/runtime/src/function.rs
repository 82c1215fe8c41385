//! One function: a request in, an answer out, whatever happens in between.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tower::{BoxError, Service};

use crate::body::{self, Refused};
use crate::lent::lend;
use crate::passing::Passing;
use crate::problem;

/// How long a client may take to send what nobody reads.
const PATIENCE: Duration = Duration::from_secs(10);

/// How bodies reach the router and leave it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bodies {
    /// Read to their end before, up to [`body::LIMIT`]; finished before they are sent.
    Whole,
    /// As they come, of any size, where the host can.
    Passing,
}

/// The router and the requests that it is working on. Clones share both.
#[derive(Clone)]
pub struct Function {
    router: Router,
    bodies: Bodies,
    requests: TaskTracker,
}

impl Function {
    pub fn new(router: Router, bodies: Bodies) -> Function {
        Function {
            router,
            bodies,
            requests: TaskTracker::new(),
        }
    }

    /// The router's answer; a panic and an oversized request are answered too. Its body is
    /// finished unless bodies pass.
    ///
    /// The work goes on in a task of its own if this future is dropped: a client that hangs up
    /// must not interrupt a refresh between the provider's answer and the save.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let request = prepared(request);
        let router = self.router.clone();
        match self.bodies {
            Bodies::Whole => {
                let answer = self.requests.spawn(finished(router, request));
                // The hook has logged the panic.
                let answer = answer.await.unwrap_or_else(|_panicked| problem::internal());
                answer.map(Body::from)
            }
            Bodies::Passing => {
                let answer = self.requests.spawn(begun(router, request));
                match answer.await {
                    // The token keeps the process until the last piece has passed.
                    Ok(answer) => {
                        answer.map(|body| Body::new(Passing::new(body, self.requests.token())))
                    }
                    Err(_panicked) => problem::internal().map(Body::from),
                }
            }
        }
    }

    /// Whether an answer may still be on its way when [`Function::answer`] has returned it.
    pub fn passes_bodies(&self) -> bool {
        self.bodies == Bodies::Passing
    }

    /// Waits until no request is being worked on.
    pub async fn idle(&self) {
        self.requests.close();
        self.requests.wait().await;
    }
}

fn prepared<B>(request: Request<B>) -> Request<B> {
    let (mut parts, body) = request.into_parts();
    remove_platform_headers(&mut parts.headers);
    Request::from_parts(parts, body)
}

async fn begun<B>(mut router: Router, request: Request<B>) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let awaits_continue = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let (lender, lent) = lend(Box::pin(body));

    let request = Request::from_parts(parts, Body::new(lent));
    let Ok(response) = router.call(request).await;

    // A client that is cut off while it sends does not see the answer.
    if let Some(unread) = lender.returned().filter(|_| !awaits_continue) {
        let _ = timeout(PATIENCE, body::discard(unread)).await;
    }
    response
}

async fn finished<B>(mut router: Router, request: Request<B>) -> Response<Bytes>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let awaits_continue = parts.headers.contains_key(header::EXPECT);
    let body = match body::read(body, awaits_continue).await {
        Ok(body) => Body::from(body),
        Err(Refused::TooLarge) => return problem::body_too_large(),
        Err(Refused::Broken) => return problem::unreadable(),
    };

    let Ok(response) = router.call(Request::from_parts(parts, body)).await;

    let (parts, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => Response::from_parts(parts, body.to_bytes()),
        Err(_) => broken_off(),
    }
}

/// For an answer whose body ended before its time.
pub fn broken_off() -> Response<Bytes> {
    // The cause stays out of the log: it can quote what another server sent.
    println!(r#"{{"level":"error","event":"response_body_failed"}}"#);
    problem::internal()
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
