//! The `grantkeep` command, run as operators run it: the real binary, its own environment.

use std::collections::BTreeMap;
use std::process::Stdio;

use grantkeep_runtime::test_hosts::binary;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How a run of it ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// What it answered.
    pub stdout: String,
    /// What it remarked.
    pub stderr: String,
}

impl Ran {
    /// Its answer, read as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs it with these variables and no others, nothing on stdin.
pub async fn grantkeep(variables: &BTreeMap<String, String>, arguments: &[&str]) -> Ran {
    grantkeep_with(variables, arguments, "").await
}

/// The same with something on stdin.
pub async fn grantkeep_with(
    variables: &BTreeMap<String, String>,
    arguments: &[&str],
    stdin: &str,
) -> Ran {
    let mut child = prepared(variables, arguments)
        .await
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    // Who reads nothing may close it.
    let _ = pipe.write_all(stdin.as_bytes()).await;
    drop(pipe);
    let output = child.wait_with_output().await.expect("it ends");
    Ran {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A run of it that is not started yet; killed when dropped.
pub async fn prepared(variables: &BTreeMap<String, String>, arguments: &[&str]) -> Command {
    let program = tokio::task::spawn_blocking(|| binary("grantkeep-cli", "grantkeep"))
        .await
        .expect("the binary");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}
