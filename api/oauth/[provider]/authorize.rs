//! `GET /api/oauth/{provider}/authorize`

use std::process::ExitCode;

use grantkeep_functions::authorize;

fn main() -> ExitCode {
    grantkeep_runtime::serve(authorize::start)
}
