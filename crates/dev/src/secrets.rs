//! Keys that live as long as this process.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// 32 random bytes, as `OAUTH_ENCRYPTION_KEY` and `SESSION_SECRET` want them.
pub fn key() -> String {
    STANDARD.encode(random())
}

/// A fresh service key, as callers show it.
pub fn service_key() -> String {
    format!("gk_{}", URL_SAFE_NO_PAD.encode(random()))
}

/// An entry of `SERVICE_KEYS`, which knows the key only by its SHA-256.
pub fn service_keys_entry(name: &str, workspace: &str, permissions: &str, key: &str) -> String {
    let hash: String = digest(&SHA256, key.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{name}:{workspace}:{permissions}:{hash}")
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    // Fails only where the operating system has no randomness to give.
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}
