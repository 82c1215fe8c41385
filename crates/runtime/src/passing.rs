//! A body on its way out, which more than one part of the process has to know the end of.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// A body that keeps something until its end, or until it is dropped.
///
/// The lock is never waited for: a body is polled by its owner alone, and Vercel's runtime
/// only wants its type to be `Sync`.
pub struct Passing<K> {
    body: Mutex<Body>,
    kept: Option<K>,
}

impl<K> Passing<K> {
    pub fn new(body: Body, kept: K) -> Self {
        Self {
            body: Mutex::new(body),
            kept: Some(kept),
        }
    }
}

impl<K: Unpin> HttpBody for Passing<K> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.kept = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        HttpBody::size_hint(&*body)
    }
}
