//! `GET`, `POST /api/token`

use std::process::ExitCode;

use grantkeep_functions::token;

fn main() -> ExitCode {
    grantkeep_runtime::serve(token::start)
}
