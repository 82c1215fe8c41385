//! The probe function as a real process under each host.

mod every_host;
mod lambda;
mod passing;
mod port;
mod startup;
mod vercel;

use std::path::PathBuf;

use grantkeep_runtime::test_hosts::{Kind, TestHost, example};
use serde_json::Value;

fn probe() -> PathBuf {
    example("grantkeep-runtime", "probe")
}

async fn start(kind: Kind) -> TestHost {
    TestHost::start(kind, &probe(), &[]).await
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("a JSON body")
}
