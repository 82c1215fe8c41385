//! One HTTP/1.1 request on a connection of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower::BoxError;

use super::process::PATIENCE;

pub async fn send(address: SocketAddr, request: Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().to_string();
    timeout(PATIENCE, exchange(address, request))
        .await
        .unwrap_or_else(|_| panic!("no answer to {path} in time"))
        .unwrap_or_else(|error| panic!("no answer to {path}: {error}"))
}

/// The body's pieces with the time of their arrival.
pub async fn pieces(address: SocketAddr, request: Request<Bytes>) -> Vec<(Instant, Bytes)> {
    let arrived = async {
        let (response, connection) = begin(address, request).await.expect("an answer");
        let mut body = response.into_body();
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Ok(piece) = frame.expect("a whole answer").into_data() {
                pieces.push((Instant::now(), piece));
            }
        }
        connection.abort();
        pieces
    };
    timeout(PATIENCE, arrived).await.expect("an answer in time")
}

async fn exchange(
    address: SocketAddr,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, BoxError> {
    let (response, connection) = begin(address, request).await?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Response::from_parts(parts, body))
}

async fn begin(
    address: SocketAddr,
    mut request: Request<Bytes>,
) -> Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>), BoxError> {
    let host = HeaderValue::from_str(&address.to_string())?;
    request.headers_mut().entry(header::HOST).or_insert(host);
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);

    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender
        .send_request(request.map(|bytes| Sent { bytes, chunked }))
        .await?;
    Ok((response, connection))
}

/// A body that can keep its length to itself.
struct Sent {
    bytes: Bytes,
    chunked: bool,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.bytes.len().min(64 * 1024);
        let piece = self.bytes.split_to(piece);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.chunked {
            SizeHint::new()
        } else {
            SizeHint::with_exact(self.bytes.len() as u64)
        }
    }
}
