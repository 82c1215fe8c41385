//! What a deployment has to carry: the binary of one function.

use std::process::{Command, Stdio};

use super::Error;
use super::function::Builds;
use super::report::{Report, Target};

/// The token function's binary, plain and as platforms zip it.
pub fn measure(builds: &Builds, report: &mut Report) -> Result<(), Error> {
    let plain = std::fs::metadata(&builds.token)?.len() as f64 / 1e6;
    // The same compression as in a zip archive.
    let output = Command::new("gzip")
        .arg("-c")
        .arg(&builds.token)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("gzip: {error}"))?;
    if !output.status.success() {
        return Err("gzip failed".into());
    }
    let zipped = output.stdout.len() as f64 / 1e6;
    for (what, size, most) in [
        ("binary of the token function", plain, 6.0),
        ("the same, zipped", zipped, 3.0),
    ] {
        report.add(
            what,
            format!("{size:.2} MB"),
            format!("{most} MB"),
            size / most,
            Target::AtMost(1.0),
        );
    }
    Ok(())
}
