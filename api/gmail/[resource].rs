//! `POST /api/gmail/send`

use std::process::ExitCode;

use grantkeep_functions::gmail;

fn main() -> ExitCode {
    grantkeep_runtime::serve_passing(gmail::start)
}
