//! `GET /api/health`

use std::process::ExitCode;

use grantkeep_functions::health;

fn main() -> ExitCode {
    grantkeep_runtime::serve(health::start)
}
