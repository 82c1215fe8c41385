//! `GET /api/cron/refresh`

use std::process::ExitCode;

use grantkeep_functions::cron;

fn main() -> ExitCode {
    grantkeep_runtime::serve(cron::start)
}
