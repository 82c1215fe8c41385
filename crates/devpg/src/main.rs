//! `grantkeep-devpg`: a throw-away Postgres until standard input closes. Prints its URL, then its directory.

use std::io::Read;
use std::process::ExitCode;

use grantkeep_devpg::Postgres;

fn main() -> ExitCode {
    let postgres = match Postgres::start(&mut |step| eprintln!("{step}")) {
        Ok(postgres) => postgres,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", postgres.url());
    println!("{}", postgres.directory().display());
    // End of input, or a terminal that has gone away: in both cases nobody waits for the server any more.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}
