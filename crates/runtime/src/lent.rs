//! A request's body that comes back when the router drops it, so that what was not read can
//! be read and thrown away before the answer is sent.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

/// Where a body comes back to.
pub struct Lender<B>(Arc<Mutex<Option<B>>>);

/// The body on loan.
pub struct Lent<B> {
    body: Option<B>,
    back: Arc<Mutex<Option<B>>>,
}

/// Lends a body.
pub fn lend<B>(body: B) -> (Lender<B>, Lent<B>) {
    let back = Arc::default();
    let lender = Lender(Arc::clone(&back));
    let body = Some(body);
    (lender, Lent { body, back })
}

impl<B> Lender<B> {
    /// The body, unless it is still in use.
    pub fn returned(self) -> Option<B> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}

impl<B: Body + Unpin> Body for Lent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}
