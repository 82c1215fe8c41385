//! Reads a request's body, up to a limit that is the same on every host.

use std::pin::pin;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use tower::BoxError;

/// The largest body that reaches the router, in bytes.
pub const LIMIT: usize = 1024 * 1024;

/// How much of a body that is too large is read and thrown away, in bytes.
///
/// Clients send first and read later: one that is answered and cut off in the middle of sending
/// sees a broken connection, not the answer. Platforms let about 6 MB through.
const DISCARD: u64 = 8 * 1024 * 1024;

/// Why there is no body for the router.
#[derive(Debug)]
pub enum Refused {
    TooLarge,
    /// The client broke off or did not keep to the protocol.
    Broken,
}

/// The whole body. One that arrived in one piece is handed on without a copy.
///
/// `awaits_continue`: the client asked before sending, so a refusal reaches it without reading.
pub async fn read<B>(body: B, awaits_continue: bool) -> Result<Bytes, Refused>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = body.size_hint().lower();
    let mut body = pin!(body);
    if announced > LIMIT as u64 {
        if !awaits_continue {
            discard(body.as_mut()).await;
        }
        return Err(Refused::TooLarge);
    }
    match Limited::new(body.as_mut(), LIMIT).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            discard(body.as_mut()).await;
            Err(Refused::TooLarge)
        }
        Err(_) => Err(Refused::Broken),
    }
}

/// Reads what is left of a body, up to [`DISCARD`].
pub async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B) {
    let mut seen = 0;
    while let Some(Ok(frame)) = body.frame().await {
        seen += frame.data_ref().map_or(0, Bytes::len) as u64;
        if seen > DISCARD {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::body::{Body, Frame};

    use super::{LIMIT, Refused, read};

    /// A body of unknown length, as chunked encoding gives it.
    struct Chunks(VecDeque<Bytes>);

    impl Chunks {
        fn of(size: usize, count: usize) -> Chunks {
            Chunks(vec![Bytes::from(vec![b'x'; size]); count].into())
        }
    }

    impl Body for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
        }
    }

    #[tokio::test]
    async fn exactly_the_limit_is_accepted_and_one_byte_more_is_not() {
        let at_limit = read(Full::from(vec![0; LIMIT]), false).await;
        assert_eq!(at_limit.unwrap().len(), LIMIT);

        let above = read(Full::from(vec![0; LIMIT + 1]), false).await;
        assert!(matches!(above, Err(Refused::TooLarge)));
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_is_limited_too() {
        let at_limit = read(Chunks::of(LIMIT / 4, 4), false).await;
        assert_eq!(at_limit.unwrap().len(), LIMIT);

        let above = read(Chunks::of(LIMIT / 4, 5), false).await;
        assert!(matches!(above, Err(Refused::TooLarge)));
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied() {
        let sent = Bytes::from(vec![b'x'; 100]);

        let read = read(Full::new(sent.clone()), false).await.unwrap();

        assert_eq!(read.as_ptr(), sent.as_ptr());
    }
}
