//! Vercel: its runtime listens on a loopback port and reports over a unix socket.

use std::env;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tower::BoxError;
use vercel_runtime::{AppState, Request, ResponseBody, service_fn};

use crate::DRAIN;
use crate::function::Function;
use crate::passing::Passing;

/// Serves until Vercel ends the process.
pub async fn run(function: Function) -> Result<(), BoxError> {
    warn_if_unreachable();

    let requests = function.clone();
    vercel_runtime::run(service_fn(move |request: Request, state: AppState| {
        let function = function.clone();
        async move {
            let response = function.answer(request).await;
            // Without this the runtime reports the end while the body is still on its way.
            let (passing, passed) = oneshot::channel::<()>();
            if function.passes_bodies() {
                state.wait_until(async {
                    let _ = passed.await;
                });
            }
            response.map(|body| {
                ResponseBody(BoxBody::new(
                    Passing::new(body, passing).map_err(Into::into),
                ))
            })
        }
    }))
    .await
    .map_err(|error| format!("Vercel's runtime ended: {error}"))?;

    // The runtime returns at SIGTERM without looking at requests in flight. The short wait at the
    // end is for the last answers to be written.
    let _ = timeout(DRAIN, requests.idle()).await;
    sleep(Duration::from_millis(20)).await;
    Ok(())
}

/// Says on stderr when nobody listens at `VERCEL_IPC_PATH`: the runtime itself would silently go
/// on as a development server.
///
/// The host takes the first connection for the function, so trying out must not be one. A datagram
/// socket cannot connect to a listening stream socket, and the refusal tells whether there is one.
fn warn_if_unreachable() {
    let Some(path) = env::var_os("VERCEL_IPC_PATH").filter(|path| !path.is_empty()) else {
        return;
    };
    let Err(error) = UnixDatagram::unbound().and_then(|probe| probe.connect(path)) else {
        return;
    };
    if matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused
    ) {
        eprintln!(
            "VERCEL_IPC_PATH names a socket that cannot be reached, so this is now a development server: {error}"
        );
    }
}
