//! `grantkeep completions`: for the shell to source.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};

/// Print shell completions, to be sourced or put where the shell looks for them
#[derive(Args)]
pub struct Completions {
    /// For which shell
    shell: Shell,
}

/// Prints them.
pub fn run(command: &Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        command.shell,
        &mut Arguments::command(),
        "grantkeep",
        &mut script,
    );
    std::io::Write::write_all(&mut std::io::stdout(), &script)
        .map_err(|error| Failure::new("internal", format!("cannot write: {error}")))?;
    Ok(Exit::Success)
}
