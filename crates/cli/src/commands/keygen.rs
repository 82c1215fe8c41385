//! `grantkeep keygen`: a fresh `OAUTH_ENCRYPTION_KEY`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use grantkeep_core::app::randomness;
use grantkeep_core::cipher::KeyRing;
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Make a key for OAUTH_ENCRYPTION_KEY: 32 random bytes, base64
///
/// SESSION_SECRET and CRON_SECRET are fine with such a value too, each with its own.
#[derive(Args)]
pub struct Keygen {}

/// Prints it, and nothing else on stdout.
pub fn run(_: &Keygen, output: &Output) -> Result<Exit, Failure> {
    let mut bytes = [0; 32];
    randomness(&mut bytes);
    let key = STANDARD.encode(bytes);
    let id = KeyRing::parse(&key)
        .map_err(|error| Failure::new("internal", error.to_string()))?
        .primary_id();
    output.result(&json!({"key": key, "key_id": id.to_string()}), &key);
    output.note(&format!(
        "Key {id}. Keep it in OAUTH_ENCRYPTION_KEY and in a safe place: without it no connection opens."
    ));
    Ok(Exit::Success)
}
