//! `GET`, `POST /api/oauth/{provider}/callback`

use std::process::ExitCode;

use grantkeep_functions::callback;

fn main() -> ExitCode {
    grantkeep_runtime::serve(callback::start)
}
