//! `GET`, `DELETE`, `PATCH /api/connections/{id}`

use std::process::ExitCode;

use grantkeep_functions::connection;

fn main() -> ExitCode {
    grantkeep_runtime::serve(connection::start)
}
