//! `cargo xtask verify`: each host's own tools build what is deployed to it, and what they
//! built passes the whole flow under a stand-in of the host.

mod aws;
mod flow;
mod steps;
mod tools;
mod tree;
mod vercel;

use std::path::Path;
use std::process::ExitCode;

/// The hosts.
pub const HOSTS: [&str; 3] = ["aws", "aws-arm64", "vercel"];

/// What is wrong, for people.
type Error = Box<dyn std::error::Error>;

/// Verifies what one host gets. Fails when it cannot be built, is not what we mean to
/// publish, or does not work.
pub fn run(host: &str) -> ExitCode {
    let verified = match host {
        "aws" => aws::verify(),
        "aws-arm64" => aws::verify_arm64(),
        "vercel" => vercel::verify(),
        other => Err(format!("no host is called {other}").into()),
    };
    match verified {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the project")
}
