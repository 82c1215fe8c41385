//! How a server ends, and that nothing of it stays.

use std::os::unix::process::CommandExt;
use std::process::Command;

use grantkeep_devpg::Postgres;

use crate::support::{Launcher, eventually, launcher, piped, processes_naming, query, signal};

#[test]
fn a_dropped_server_leaves_no_process_and_no_file() {
    let postgres = Postgres::start(&mut |_| {}).unwrap();
    let (port, directory) = (postgres.port(), postgres.directory().to_owned());
    assert!(!processes_naming(&directory).is_empty());

    drop(postgres);

    assert!(query(port, "select 1").is_err());
    assert!(!directory.exists());
    assert!(processes_naming(&directory).is_empty());
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    let starter = std::thread::spawn(|| Postgres::start(&mut |_| {}).unwrap());
    let postgres = starter.join().unwrap();

    // The kernel's signal would come with the end of the thread; the server would take a moment to obey it.
    std::thread::sleep(std::time::Duration::from_millis(300));

    assert_eq!(query(postgres.port(), "select 1"), Ok("1".into()));
}

#[test]
fn a_killed_parent_leaves_no_server_and_no_file() {
    let mut launcher = Launcher::start(launcher());
    assert_eq!(query(launcher.port, "select 1"), Ok("1".into()));

    launcher.kill();

    eventually("the server is gone", || {
        query(launcher.port, "select 1").is_err()
    });
    eventually("the directory is gone", || !launcher.directory.exists());
    eventually("no process is left", || {
        processes_naming(&launcher.directory).is_empty()
    });
}

#[test]
fn a_parent_that_exits_without_dropping_leaves_no_file() {
    let mut launcher = Launcher::start(launcher());

    signal("TERM", launcher.process.id().into());
    launcher.process.wait().unwrap();

    eventually("the directory is gone", || !launcher.directory.exists());
    eventually("no process is left", || {
        processes_naming(&launcher.directory).is_empty()
    });
}

/// Without the guard only the kernel is left to end the server, and only the next start to remove its directory.
#[cfg(target_os = "linux")]
#[test]
fn what_a_parent_killed_together_with_its_guard_left_is_swept_by_the_next_start() {
    let mut launcher = Launcher::start(launcher());
    let guard = processes_naming(&launcher.directory)
        .into_iter()
        .find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("grantkeep-devpg-guard")
        })
        .expect("a guard that names the directory");

    signal("KILL", guard.into());
    launcher.kill();

    eventually("the server is gone", || {
        query(launcher.port, "select 1").is_err()
    });
    let next = Postgres::start(&mut |_| {}).unwrap();
    eventually("the directory is gone", || !launcher.directory.exists());
    drop(next);
}

#[test]
fn ctrl_c_in_the_terminal_does_not_reach_the_server() {
    // The shell ignores the interrupt and bequeaths that to the launcher, as an app with a handler would behave.
    let mut command = piped(Command::new("/bin/sh"));
    command.args([
        "-c",
        r#"trap "" INT; exec "$0""#,
        env!("CARGO_BIN_EXE_grantkeep-devpg"),
    ]);
    command.process_group(0);
    let mut launcher = Launcher::start(command);

    signal("INT", -i64::from(launcher.process.id()));
    std::thread::sleep(std::time::Duration::from_millis(500));

    assert_eq!(query(launcher.port, "select 1"), Ok("1".into()));
    drop(launcher.process.stdin.take());
    assert!(launcher.process.wait().unwrap().success());
    assert!(!launcher.directory.exists());
}
