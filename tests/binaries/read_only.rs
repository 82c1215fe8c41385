//! The whole flow where nothing can be written, in a working directory full of settings
//! that nobody may read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grantkeep_runtime::test_hosts::Kind;
use grantkeep_tests::Deployment;
use tempfile::TempDir;
use tokio::process::Command;

use crate::flow::whole_flow;

/// Becomes the function in a mount namespace of its own with every mount read-only.
const LAUNCHER: &str = r#"#!/bin/sh
exec unshare --mount --propagation private /bin/sh -ec '
    for at in $(cut -d " " -f 5 /proc/self/mountinfo); do
        mount -n -o remount,bind,ro "$(printf %b "$at")"
    done
    cd "${0%/*}"
    exec "$FUNCTION_BINARY"
' "$0"
"#;

/// What people keep settings in. Each says something that would break the flow.
const SETTINGS: [(&str, &str); 9] = [
    (".env", ENV),
    (".env.local", ENV),
    (".env.production", ENV),
    (
        "config.toml",
        "public_url = \"https://from-a-file.test\"\nPUBLIC_URL = \"https://from-a-file.test\"\n",
    ),
    (
        "grantkeep.toml",
        "public_url = \"https://from-a-file.test\"\n",
    ),
    ("config.json", JSON),
    ("settings.json", JSON),
    (
        "client_secret.json",
        "{\"web\":{\"client_id\":\"from-a-file\",\"client_secret\":\"from-a-file\"}}",
    ),
    (
        "token.json",
        "{\"token\":\"from-a-file\",\"refresh_token\":\"from-a-file\"}",
    ),
];
const ENV: &str = "PUBLIC_URL=https://from-a-file.test\nDATABASE_URL=postgres://from-a-file.test/x\n\
    GMAIL_CLIENT_ID=from-a-file\nGMAIL_CLIENT_SECRET=from-a-file\nLOG_LEVEL=off\nPORT=1\n";
const JSON: &str =
    "{\"PUBLIC_URL\":\"https://from-a-file.test\",\"GMAIL_CLIENT_ID\":\"from-a-file\"}";

/// A working directory with the launcher and every settings file.
fn folder() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for (name, text) in SETTINGS {
        fs::write(folder.path().join(name), text).expect("a settings file");
    }
    let launcher = launcher(&folder);
    fs::write(&launcher, LAUNCHER).expect("the launcher");
    fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755)).expect("executable");
    folder
}

fn launcher(folder: &TempDir) -> PathBuf {
    folder.path().join("launcher")
}

/// What the kernel says to a write attempted from within a process's mount namespace.
async fn touch(process: u32, folder: &Path) -> String {
    let output = Command::new("nsenter")
        .args(["--target", &process.to_string(), "--mount", "touch"])
        .arg(folder.join("written"))
        .output()
        .await
        .expect("nsenter");
    assert!(
        !output.status.success(),
        "{process} can write to {}",
        folder.display()
    );
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Mount points of a process that can be written through: the last mount at a point hides
/// those before it.
fn writable_mounts(process: u32) -> Vec<String> {
    let table = fs::read_to_string(format!("/proc/{process}/mountinfo")).expect("mountinfo");
    let mounts = table.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(4);
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    });
    let top: std::collections::BTreeMap<String, String> = mounts.collect();
    assert!(top.contains_key("/"), "{table}");
    top.into_iter()
        .filter(|(_, options)| !options.split(',').any(|option| option == "ro"))
        .map(|(at, _)| at)
        .collect()
}

/// Waits until the launcher has become the function: Lambda's host does not.
async fn became(process: u32, function: &str) {
    let exe = format!("/proc/{process}/exe");
    for _ in 0..1000 {
        if fs::read_link(&exe).is_ok_and(|exe| exe.ends_with(function)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{function} never started");
}

async fn require_namespaces() {
    let tried = Command::new("unshare")
        .args(["--mount", "true"])
        .output()
        .await;
    let said = match &tried {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    panic!(
        "this test makes a file system read-only and needs the right to (CAP_SYS_ADMIN): {said}"
    );
}

async fn the_flow_passes_under(kind: Kind) {
    require_namespaces().await;
    let folder = folder();
    let deployment = Deployment::builder(kind)
        .instances(1)
        .launcher(&launcher(&folder))
        .start()
        .await;
    let processes = deployment.processes().await;
    for (function, process) in &processes {
        became(*process, function).await;
        let working_directory = fs::read_link(format!("/proc/{process}/cwd")).expect("cwd");
        assert_eq!(working_directory, folder.path(), "{function}");
        assert_eq!(writable_mounts(*process), [""; 0], "{function}");
        for place in [
            Path::new("/"),
            Path::new("/tmp"),
            Path::new("/dev/shm"),
            folder.path(),
        ] {
            let said = touch(*process, place).await;
            assert!(said.contains("Read-only file system"), "{function}: {said}");
        }
    }

    whole_flow(&deployment, "user-1", "alice@example.test").await;

    // The flow went on in those very processes.
    assert_eq!(deployment.processes().await, processes);
    for ended in deployment.stop().await {
        assert_eq!(ended.stopped.stderr, "", "{}", ended.function);
    }
    let left = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left, SETTINGS.len() + 1, "files and the launcher");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_refuses_every_write_is_enough_on_vercel() {
    the_flow_passes_under(Kind::Vercel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_refuses_every_write_is_enough_on_lambda() {
    the_flow_passes_under(Kind::Lambda).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_refuses_every_write_is_enough_on_a_plain_port() {
    the_flow_passes_under(Kind::Port).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settings_file_does_not_stand_in_for_a_missing_variable() {
    require_namespaces().await;
    let folder = folder();
    let program = grantkeep_tests::deployment::program("token").await;

    let variables = std::collections::BTreeMap::new();
    let launcher = launcher(&folder);
    let function =
        grantkeep_tests::deployment::start(Kind::Port, &program, Some(&launcher), &variables).await;
    let answer = function.get("/api/token").await;

    assert_eq!(answer.status().as_u16(), 500);
    let answer = String::from_utf8_lossy(answer.body()).into_owned();
    for name in [
        "DATABASE_URL",
        "OAUTH_ENCRYPTION_KEY",
        "PUBLIC_URL",
        "SERVICE_KEYS",
    ] {
        assert!(answer.contains(&format!("{name} is not set")), "{answer}");
    }
}
