//! Keys that live as long as this process.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantkeep_core::app::randomness;

/// 32 random bytes, as `OAUTH_ENCRYPTION_KEY` and `SESSION_SECRET` want them.
pub fn key() -> String {
    let mut bytes = [0; 32];
    randomness(&mut bytes);
    STANDARD.encode(bytes)
}
