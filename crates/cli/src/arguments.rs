//! The command line as a whole. What a command takes is in its own file.

use clap::Parser;

use crate::commands::Command;

/// The operators' tool of Grantkeep.
#[derive(Parser)]
#[command(
    name = "grantkeep",
    version,
    about,
    arg_required_else_help = true,
    after_help = "Settings come from the environment variables of the functions; a command needs \
                  only its own.\nExit codes: 0 all of it worked, 1 something did not, 2 the \
                  command line is wrong, 3 a setting is missing or malformed."
)]
pub struct Arguments {
    /// Print JSON, errors included
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
