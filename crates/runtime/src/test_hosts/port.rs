//! No host at all: the function listens on a port that it chose.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use tokio::time::{Duration, sleep};

use super::process::{PATIENCE, Process};

pub struct Port {
    process: Process,
    address: SocketAddr,
}

impl Port {
    pub async fn start(program: &Path, variables: &[(&str, &str)]) -> Port {
        let mut variables = variables.to_vec();
        if !variables.iter().any(|(name, _)| *name == "PORT") {
            variables.push(("PORT", "0"));
        }
        let mut process = Process::start(program, &variables);
        let started = Instant::now();
        loop {
            if let Some(address) = listening(&process.stdout()) {
                return Port { process, address };
            }
            if let Some(code) = process.ended() {
                panic!(
                    "ended with {code:?} before it listened: {}",
                    process.stderr()
                );
            }
            assert!(started.elapsed() < PATIENCE, "the function never listened");
            sleep(Duration::from_millis(2)).await;
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn into_process(self) -> Process {
        self.process
    }
}

/// The address in the line that says so.
fn listening(stdout: &str) -> Option<SocketAddr> {
    let lines = stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut listening = lines.filter(|line| line["event"] == "listening");
    listening.next()?["address"].as_str()?.parse().ok()
}
