//! `POST /api/connect-links`

use std::process::ExitCode;

use grantkeep_functions::connect_links;

fn main() -> ExitCode {
    grantkeep_runtime::serve(connect_links::start)
}
