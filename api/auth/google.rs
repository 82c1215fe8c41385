//! `POST`, `DELETE /api/auth/google`

use std::process::ExitCode;

use grantkeep_functions::sign_in;

fn main() -> ExitCode {
    grantkeep_runtime::serve(sign_in::start)
}
