//! `GET /api/connections`

use std::process::ExitCode;

use grantkeep_functions::connections;

fn main() -> ExitCode {
    grantkeep_runtime::serve(connections::start)
}
