//! The routes, and the loop that serves them on a thread of its own.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StdListener;
use std::thread::{self, JoinHandle};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use crate::token::LostAnswer;
use crate::world::Shared;
use crate::{api, authorize, calendar, control, discovery, mail, recorded, revoke, token};

/// Serves until `stop` is sent or dropped.
///
/// A thread of its own, so that a test which blocks its own runtime (waiting for a child process
/// that talks to this server, say) does not block the server.
pub(crate) fn spawn(
    listener: StdListener,
    shared: Shared,
    stop: oneshot::Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = {
        let _context = runtime.enter();
        TcpListener::from_std(listener)?
    };
    thread::Builder::new()
        .name("demo-provider".to_owned())
        .spawn(move || {
            // Dropping the runtime afterwards drops every open connection.
            runtime.block_on(async {
                tokio::select! {
                    never = accept(listener, router(shared)) => match never {},
                    _ = stop => {}
                }
            });
        })
}

fn router(shared: Shared) -> Router {
    let recorded = Router::new()
        .route("/authorize", get(authorize::show).post(authorize::decide))
        .route("/token", post(token::token))
        .route("/moved", get(token::moved).post(token::moved))
        .route("/revoke", post(revoke::revoke))
        .route("/userinfo", get(api::userinfo).post(api::userinfo))
        .route("/jwks", get(discovery::jwks))
        .route(
            "/.well-known/openid-configuration",
            get(discovery::metadata),
        )
        .route(
            "/.well-known/oauth-authorization-server",
            get(discovery::metadata),
        )
        .route("/api/whoami", get(api::whoami))
        .merge(mail::router())
        .merge(calendar::router())
        .layer(middleware::from_fn_with_state(
            shared.clone(),
            recorded::record,
        ));
    let control = Router::new()
        .route(
            "/control/knobs",
            get(control::knobs).patch(control::change_knobs),
        )
        .route(
            "/control/requests",
            get(control::requests).delete(control::forget_requests),
        )
        .route("/control/kill-grants", post(control::kill_grants))
        .route(
            "/control/expire-access-tokens",
            post(control::expire_access_tokens),
        )
        .route("/control/calls", get(control::calls))
        .route("/control/messages", post(control::deliver))
        .route("/control/forget-history", post(control::forget_history));
    // Bodies are bounded where they are recorded.
    recorded
        .merge(control)
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

async fn accept(listener: TcpListener, router: Router) -> Infallible {
    loop {
        // A connection that failed before it was accepted is its client's matter.
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, router.clone()));
        }
    }
}

/// Serves one connection. hyper itself rather than `axum::serve`, because only an error from the
/// service closes a connection without an answer.
async fn connection(stream: TcpStream, router: Router) {
    let service = service_fn(|request| {
        let router = router.clone();
        async move {
            let answer = router
                .oneshot(request)
                .await
                .unwrap_or_else(|never| match never {});
            if answer.extensions().get::<LostAnswer>().is_some() {
                return Err("the answer is lost on purpose");
            }
            Ok(answer)
        }
    });
    // Without TCP_NODELAY small answers wait for the client's delayed acknowledgement; a socket
    // that refuses it, and an error of the connection, end with the connection.
    let _ = stream.set_nodelay(true);
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
