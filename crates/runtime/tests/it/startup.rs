//! What the environment decides before anything is served.

use std::process::{Command, Output};

use crate::probe;

fn run(variables: &[(&str, &str)]) -> Output {
    Command::new(probe())
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn without_a_host_it_says_what_it_looked_for_and_exits_with_2() {
    let output = run(&[]);

    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    for name in [
        "PORT",
        "VERCEL_IPC_PATH",
        "VERCEL_DEV_PORT",
        "AWS_LAMBDA_RUNTIME_API",
    ] {
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn a_wrong_port_is_named_and_exits_with_2() {
    let output = run(&[("PORT", "eighty")]);

    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("PORT is \"eighty\"")
    );
}

#[test]
fn a_port_in_use_is_named_and_exits_with_1() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();

    let output = run(&[("PORT", &port)]);

    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&port));
}
