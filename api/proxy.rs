//! `ANY /api/proxy/{provider}/{path}`

use std::process::ExitCode;

use grantkeep_functions::proxy;

fn main() -> ExitCode {
    grantkeep_runtime::serve_passing(proxy::start)
}
