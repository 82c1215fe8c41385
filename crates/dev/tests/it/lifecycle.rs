//! How it ends, what it leaves, and who else is on its port.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Dev, program, run};

/// Directories of throw-away servers that a process has made.
fn directories_of(process: u32) -> Vec<PathBuf> {
    let prefix = format!("grantkeep-devpg-{process}-");
    [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()]
        .iter()
        .filter_map(|place| std::fs::read_dir(place).ok())
        .flat_map(|entries| entries.flatten())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect()
}

/// Processes that name such a directory in their command line.
fn processes_of(process: u32) -> Vec<String> {
    let listing = Command::new("ps")
        .args(["-Aww", "-o", "pid=,command="])
        .output();
    let listing = String::from_utf8(listing.expect("ps runs").stdout).expect("UTF-8");
    let prefix = format!("grantkeep-devpg-{process}-");
    let named = listing.lines().filter(|line| line.contains(&prefix));
    named.map(str::to_owned).collect()
}

fn leaves_nothing_after(signal: &str) {
    let mut dev = Dev::start(&[]);
    let (id, port) = (dev.process.id(), dev.port());
    assert!(!directories_of(id).is_empty() && !processes_of(id).is_empty());
    // As a browser has it: one connection kept open after an answer, one never used.
    let mut kept = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let _unused = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    kept.write_all(b"GET /api/health HTTP/1.1\r\nhost: x\r\n\r\n")
        .expect("it reads");
    assert_ne!(kept.read(&mut [0; 512]).expect("it answers"), 0);

    let status = dev.end_by(signal);

    assert_eq!(status.code(), Some(0), "{}", dev.errors());
    assert_eq!(directories_of(id), Vec::<PathBuf>::new());
    assert_eq!(processes_of(id), [""; 0]);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn ctrl_c_leaves_no_process_and_no_file() {
    leaves_nothing_after("INT");
}

#[test]
fn a_termination_leaves_no_process_and_no_file() {
    leaves_nothing_after("TERM");
}

#[test]
fn a_second_start_says_that_one_runs_already() {
    let first = Dev::start(&[]);
    let port = first.port();

    let second = run(program().env("PORT", port.to_string()));

    assert_eq!(second.code, Some(1));
    let said = format!("cargo dev is running already at http://127.0.0.1:{port}");
    assert!(second.stderr.contains(&said), "{}", second.stderr);
    assert!(second.stderr.contains(&format!("PORT={}", port + 1)));
    assert_eq!(second.stdout, "");
}

#[test]
fn another_program_on_the_port_is_told_from_a_cargo_dev() {
    let other = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = other.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in other.incoming() {
            let answer = b"HTTP/1.1 200 OK\r\nserver: other\r\n\r\nserver: grantkeep-dev\r\n";
            let _ = stream.and_then(|mut stream| stream.write_all(answer));
        }
    });

    let started = run(program().env("PORT", port.to_string()));

    assert_eq!(started.code, Some(1));
    let said = format!("port {port} is in use by another program");
    assert!(started.stderr.contains(&said), "{}", started.stderr);
}

#[test]
fn a_program_that_does_not_answer_does_not_hold_up_the_message() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = silent.local_addr().expect("bound").port();

    let started = run(program().env("PORT", port.to_string()));

    assert_eq!(started.code, Some(1));
    assert!(started.stderr.contains("is in use"), "{}", started.stderr);
}
