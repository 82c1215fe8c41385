//! `grantkeep`: what operators do with connections, keys and the database. It reads the
//! same environment variables as the functions, which never need it.

mod arguments;
mod backup_key;
mod commands;
mod confirm;
mod failure;
mod files;
mod output;
mod progress;
mod ruby;
mod select;
mod settings;
mod time;
mod view;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};
use crate::output::Output;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
    let output = Output::new(arguments.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::new("internal", format!("the runtime did not start: {error}"));
            return output.failure(&failure).into();
        }
    };
    let ended = runtime.block_on(commands::run(arguments.command, &output));
    // A name look-up that hangs in its own thread must not hold up the exit.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => output.failure(&failure).into(),
    }
}

/// Help and version are no failures; the rest is, in JSON too if that was asked for.
fn misused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || !std::env::args_os().any(|argument| argument == "--json") {
        // Nothing is left to try where even this cannot be written.
        let _ = error.print();
        return match error.use_stderr() {
            true => Exit::Usage.into(),
            false => ExitCode::SUCCESS,
        };
    }
    let text = error.render().to_string();
    let detail = text.trim().trim_start_matches("error: ").to_owned();
    Output::new(true).failure(&Failure::usage(detail)).into()
}
