//! The command line: what to do, or what is wrong with it.

use std::ffi::OsString;

/// What `--help` prints.
pub const HELP: &str = "\
cargo dev: every route of Grantkeep on one port

Usage: cargo dev
       cargo dev --tour
       cargo dev --help

Without settings, it starts a throw-away Postgres, a demo provider in place of Google
and Microsoft, and makes keys that end with it. Every setting of the functions that is
in the environment wins, among them:

  PORT                  where to listen on 127.0.0.1 (3000; 0 is any free port)
  DATABASE_URL          a Postgres of your own, which then has to be on this machine
                        unless OAUTH_ENCRYPTION_KEY is set too
  GOOGLE_CLIENT_ID, …   the real provider instead of the demo provider
  RETURN_TO_ORIGINS     where your frontend is, unless that is port 5173
  LOG_LEVEL             JSON log lines on stdout (warn; info is a line per request)
  GRANTKEEP_DEVPG       system, npm or pip: where the throw-away Postgres comes from

Stop it with Ctrl-C; it leaves nothing behind.

With --tour, it starts all of that on a free port, with a Postgres and a demo provider
of its own whatever is configured, and plays the user over real HTTP: redirect, consent,
callback, the sealed row, reads, a refresh, refusals, disconnect. It shows and checks
every step, and exits 0, or 1 with the step that failed.";

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Serve until stopped.
    Serve,
    /// Play the user, step by step.
    Tour,
    /// Print [`HELP`].
    Help,
}

/// Reads the arguments after the program's name; the error says what to do.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Action, String> {
    let mut action = Action::Serve;
    for argument in arguments {
        action = match argument.to_str() {
            Some("--help" | "-h") => return Ok(Action::Help),
            Some("--tour") => Action::Tour,
            _ => {
                let shown = argument.to_string_lossy();
                return Err(format!("unknown argument {shown:?}: see cargo dev --help"));
            }
        };
    }
    Ok(action)
}
