//! `GET`, `POST /connect`, rewritten to `/api/connect`

use std::process::ExitCode;

use grantkeep_functions::connect;

fn main() -> ExitCode {
    grantkeep_runtime::serve(connect::start)
}
