//! `grantkeep keygen`: a fresh `OAUTH_ENCRYPTION_KEY`, or one that AWS KMS has wrapped.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use grantkeep_core::app::randomness;
use grantkeep_core::cipher::KeyRing;
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::settings;

/// Make a key for OAUTH_ENCRYPTION_KEY: 32 random bytes, base64
///
/// SESSION_SECRET and CRON_SECRET are fine with such a value too, each with its own. With --kms,
/// the key is made and wrapped by AWS KMS, and nobody ever sees it: what is printed goes into
/// OAUTH_ENCRYPTION_KEY as it is, and opens only for roles with kms:Decrypt on that KMS key.
#[derive(Args)]
pub struct Keygen {
    /// Let AWS KMS make and wrap it, under the KMS key of this ARN
    #[arg(long, value_name = "KEY_ARN")]
    kms: Option<String>,
    /// With --kms: wrap the key on stdin instead, so that nothing has to be sealed anew
    #[arg(long, requires = "kms")]
    wrap: bool,
}

/// Prints it, and nothing else on stdout.
pub async fn run(command: &Keygen, output: &Output) -> Result<Exit, Failure> {
    match &command.kms {
        Some(arn) => wrapped(arn, command.wrap, output).await,
        None => plain(output),
    }
}

fn plain(output: &Output) -> Result<Exit, Failure> {
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

async fn wrapped(arn: &str, existing: bool, output: &Output) -> Result<Exit, Failure> {
    let kms = settings::kms()?;
    let key = match existing {
        true => kms.encrypt(arn, &from_stdin()?).await?,
        false => kms.generate(arn).await?,
    };
    output.result(&json!({"key": key}), &key);
    output.note(
        "Set OAUTH_ENCRYPTION_KEY to it, and allow kms:Decrypt on the KMS key to the functions' role. \
         Without the KMS key no connection opens: see that nobody schedules its deletion.",
    );
    Ok(Exit::Success)
}

/// The key that is in use: 32 bytes in base64, as in `OAUTH_ENCRYPTION_KEY`.
fn from_stdin() -> Result<[u8; 32], Failure> {
    let mut text = String::new();
    std::io::stdin()
        .take(1024)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("no key on stdin: {error}")))?;
    KeyRing::decode(text.trim())
        .map(|key| *key)
        .map_err(|error| Failure::usage(format!("the key on stdin {error}")))
}
