//! What takes whole processes and minutes: the scheduled refresh over many connections, and
//! killing functions in the middle of refreshes. Both are tests that are usually left out,
//! told which binaries to start.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::function::build;
use super::{Error, note};

/// Builds the functions with the release profile and runs the test of this name, which
/// prints its figures and fails when one of them cannot be.
pub fn run(test: &str) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    for (name, variable) in [
        ("cron", "GRANTKEEP_BENCH_CRON"),
        ("token", "GRANTKEEP_BENCH_TOKEN"),
    ] {
        let built = match std::env::var_os(variable) {
            Some(other) => std::path::absolute(other)?,
            None => build(&["--package", "grantkeep", "--bin", name])?,
        };
        symlink(built, folder.path().join(name))?;
    }
    note(&format!("cargo test --test cron {test}"));
    let status = Command::new(env!("CARGO"))
        .args([
            "test",
            "--quiet",
            "--package",
            "grantkeep-tests",
            "--test",
            "cron",
        ])
        .args(["--", "--ignored", "--exact", "--nocapture", test])
        .env("FUNCTIONS_FOLDER", folder.path())
        .env("RUST_BACKTRACE", "0")
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{test} failed").into()),
    }
}
