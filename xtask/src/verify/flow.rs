//! Connect, read, refresh, disconnect through functions that a host's tools built: the same
//! test that drives Cargo's own, told where the others lie.

use std::path::Path;
use std::process::Command;

use super::steps::{Step, run};
use super::{Error, root};

/// Runs the flow's test called `test` with the functions in `folder`, one file for each,
/// of its name.
pub fn drive(folder: &Path, test: &str) -> Result<(), Error> {
    let step = Step::begin("the whole flow through the built functions");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let printed = run(Command::new(cargo)
        .args(["test", "--package", "grantkeep-tests", "--test", "binaries"])
        .args(["--", "--exact", test])
        .env("FUNCTIONS_FOLDER", folder)
        .env("RUST_BACKTRACE", "0")
        .current_dir(root()))?;
    // A test that was renamed would be none, and none never fails.
    if !printed.contains("test result: ok. 1 passed") {
        return Err(format!("there is no test called {test}\n{printed}").into());
    }
    step.done("connect, token, refresh, disconnect; two instances of each function");
    Ok(())
}
