//! Serves one router on Vercel, AWS Lambda or a plain port, whichever the environment names.
//!
//! The only crate that knows where a function runs. Whatever the host, the router sees the path,
//! query, headers and cookies as the client sent them and at most 1 MiB of body, a panic becomes a
//! 500, and the host is handed finished answers only, so nothing runs after the response. A function
//! that passes bodies on ([`serve_passing`]) has no such limit, and its host waits for their end.

mod body;
mod function;
mod host;
mod lambda;
mod lent;
mod panics;
mod passing;
mod port;
mod problem;
#[cfg(feature = "test-hosts")]
pub mod test_hosts;
mod vercel;

use std::process::ExitCode;
use std::time::Duration;

use function::{Bodies, Function};
use host::Host;

/// How long requests in flight may still take once the host asked the process to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves the router that `start` builds until the host ends the process.
///
/// `start` is called once, within the tokio runtime, before the first request. The exit code is 0
/// after a requested stop, 1 when the host failed, and 2 when the environment names no host or
/// names one wrongly; what is wrong is then on stderr.
pub fn serve(start: fn() -> axum::Router) -> ExitCode {
    run(start, Bodies::Whole)
}

/// The same for a router that passes bodies on, both ways, as they come. Lambda knows no
/// such thing: there an answer is finished first, and refused above what the host takes.
pub fn serve_passing(start: fn() -> axum::Router) -> ExitCode {
    run(start, Bodies::Passing)
}

fn run(start: fn() -> axum::Router, bodies: Bodies) -> ExitCode {
    let host = match Host::from_env() {
        Ok(host) => host,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::from(2);
        }
    };

    panics::log_without_payload();

    // One thread: a function instance serves few requests at a time and mostly waits for others,
    // and worker threads would cost start-up time and memory.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start the tokio runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        let function = Function::new(start(), bodies);
        match host {
            Host::Vercel => vercel::run(function).await,
            Host::Lambda => lambda::run(function).await,
            Host::Port(address) => port::run(function, address).await,
        }
    });
    // A name lookup that hangs in its own thread must not hold up the exit.
    runtime.shutdown_background();

    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
