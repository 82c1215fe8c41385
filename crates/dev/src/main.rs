//! `cargo dev`: every route on one port, with a throw-away Postgres and a demo provider
//! beside them. `cargo dev --tour` then plays the user, over real HTTP.

mod arguments;
mod client;
mod mail;
mod port;
mod ready;
mod screen;
mod secrets;
mod stack;
mod today;
mod tour;
mod variables;

use std::process::ExitCode;

use grantkeep_functions::log;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::arguments::Action;
use crate::screen::{complain, progress, say};
use crate::stack::Stack;
use crate::variables::Variables;

/// The command line or `PORT` cannot be understood.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let action = match arguments::read(std::env::args_os().skip(1)) {
        Ok(action) => action,
        Err(message) => {
            complain(&message);
            return ExitCode::from(USAGE);
        }
    };
    // The screen is for people here; whoever wants every request's line asks for it.
    log::start_at(LevelFilter::WARN);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("the runtime could not be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match action {
        Action::Help => {
            say(arguments::HELP);
            ExitCode::SUCCESS
        }
        Action::Tour => finish(runtime.block_on(tour::run())),
        Action::Serve => {
            let wanted = match port::wanted(std::env::var_os("PORT")) {
                Ok(wanted) => wanted,
                Err(message) => {
                    complain(&message);
                    return ExitCode::from(USAGE);
                }
            };
            finish(runtime.block_on(serve(wanted)))
        }
    }
}

fn finish(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// Serves until Ctrl-C or SIGTERM.
async fn serve(wanted: u16) -> Result<(), String> {
    let listener = port::listen(wanted).await?;
    let stack = Stack::start(listener, Variables::of_process()).await?;

    // Only from here on: a signal during the start ends the process at once, and
    // Postgres cleans up after itself.
    let (mut interrupt, mut terminate) = signal(SignalKind::interrupt())
        .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)))
        .map_err(|error| format!("signals cannot be waited for: {error}"))?;
    ready::show(&stack);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    progress("stopping");
    stack.stop().await;
    Ok(())
}
