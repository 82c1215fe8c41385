//! Requests and answers that pass through without being held: no limit of size, and limits
//! of time on every silence instead of on the whole.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use reqwest::Body as Sent;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{Http, HttpError, classify};

/// The longest silence while a body passes, either way, and before an answer begins.
const SILENCE: Duration = Duration::from_secs(20);

/// A body as it comes.
pub type Stream = UnsyncBoxBody<Bytes, BoxError>;

/// Why a body broke off.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a request carries.
pub enum Payload {
    /// Known as a whole, so it can be sent again.
    Whole(Bytes),
    /// Passed on as it comes, once.
    Stream(Stream),
}

impl Http {
    /// Sends one request and answers as soon as the other side does, redirects included.
    /// Dropping the answer's body ends the exchange.
    pub async fn stream(
        &self,
        request: http::Request<Payload>,
    ) -> Result<http::Response<Stream>, HttpError> {
        let passing = Passing::default();
        let request = request.map(|payload| match payload {
            Payload::Whole(bytes) => Sent::from(bytes),
            Payload::Stream(body) => Sent::wrap(Watched {
                body: Mutex::new(body),
                passing: passing.clone(),
            }),
        });
        let request = reqwest::Request::try_from(request).map_err(|_| HttpError::Malformed)?;
        let client = self.client(request.url())?;

        let answer = tokio::select! {
            answer = client.execute(request) => answer.map_err(|error| classify(&error))?,
            () = passing.silence() => return Err(HttpError::Timeout),
        };
        let answer = http::Response::<Sent>::from(answer);
        Ok(answer.map(|body| {
            Limited {
                body,
                silence: Box::pin(sleep(SILENCE)),
            }
            .boxed_unsync()
        }))
    }
}

/// When a request's body last moved.
#[derive(Clone)]
struct Passing(Arc<Mutex<Instant>>);

impl Default for Passing {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Passing {
    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moved(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until nothing has moved for [`SILENCE`].
    async fn silence(&self) {
        loop {
            let until = self.last() + SILENCE;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// A body that notes that it moves. The lock is never waited for: it makes the body `Sync`,
/// which the client wants, and a body is polled by its owner alone.
struct Watched {
    body: Mutex<Stream>,
    passing: Passing,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = Pin::new(body).poll_frame(context);
        if polled.is_ready() {
            self.passing.moved();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        body.size_hint()
    }
}

/// A body that breaks off when it is silent for too long.
struct Limited {
    body: Sent,
    silence: Pin<Box<Sleep>>,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                let until = Instant::now() + SILENCE;
                self.silence.as_mut().reset(until);
                // The error itself is dropped: its text holds the URL.
                Poll::Ready(frame.map(|frame| frame.map_err(|error| classify(&error).into())))
            }
            Poll::Pending => match self.silence.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(HttpError::Timeout.into()))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
