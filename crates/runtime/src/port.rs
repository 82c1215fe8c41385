//! A plain HTTP/1.1 server, for a machine of one's own and for development.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};
use tower::BoxError;

use crate::DRAIN;
use crate::function::Function;

/// Serves until SIGTERM or SIGINT, then finishes what is in flight.
///
/// One JSON line on stdout tells the address, which matters when the port was 0.
pub async fn run(function: Function, address: SocketAddr) -> Result<(), BoxError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!(
        r#"{{"level":"info","event":"listening","address":"{}"}}"#,
        listener.local_addr()?
    );

    let connections = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => serve(stream, function.clone(), &connections),
                Err(error) => accept_failed(&error).await,
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    drop(listener);

    if timeout(DRAIN, connections.shutdown()).await.is_err() {
        eprintln!(
            "stopped with requests still in flight after {} seconds",
            DRAIN.as_secs()
        );
    }
    Ok(())
}

/// Serves one connection in a task of its own.
fn serve(stream: TcpStream, function: Function, connections: &GracefulShutdown) {
    // Fails only on a connection that is already gone.
    let _ = stream.set_nodelay(true);

    let answer = service_fn(move |request: http::Request<Incoming>| {
        let function = function.clone();
        async move { Ok::<_, Infallible>(function.answer(request).await) }
    });
    // Half-closed connections stay: a client may close its side right after the request, and one
    // that is gone altogether is noticed only when the answer is written, so the work is finished.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .half_close(true)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), answer);
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        // An error here is the client's: a broken connection or no HTTP.
        let _ = connection.await;
    });
}

/// Out of file descriptors, most likely: waiting lets some be closed, spinning would not.
async fn accept_failed(error: &io::Error) {
    eprintln!("cannot accept a connection: {error}");
    sleep(Duration::from_millis(100)).await;
}
