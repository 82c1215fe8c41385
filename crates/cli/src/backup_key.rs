//! The key of a backup: from a file, stdin or the environment, never from the command
//! line, which other users of the machine can read.

use std::path::PathBuf;

use clap::Args;
use grantkeep_core::cipher::KeyRing;

use crate::failure::Failure;
use crate::files;

const VARIABLE: &str = "GRANTKEEP_BACKUP_KEY";
/// A key has 44 characters.
const LIMIT: usize = 4096;

/// `--key-file`.
#[derive(Args)]
pub struct BackupKey {
    /// File with the backup's key, as `grantkeep keygen` makes one; - is stdin. Without it,
    /// GRANTKEEP_BACKUP_KEY, else the keys that seal the database
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl BackupKey {
    /// The key that was given, if one was.
    pub fn read(&self) -> Result<Option<KeyRing>, Failure> {
        let (name, text) = match &self.key_file {
            Some(path) => {
                let name = path.display().to_string();
                let bytes = files::read(path, LIMIT)
                    .map_err(|error| Failure::usage(format!("{name}: cannot be read: {error}")))?;
                (name, String::from_utf8(bytes).unwrap_or_default())
            }
            None => match std::env::var(VARIABLE) {
                Ok(text) if !text.trim().is_empty() => (VARIABLE.to_owned(), text),
                _ => return Ok(None),
            },
        };
        KeyRing::parse(&text)
            .map(Some)
            .map_err(|error| Failure::settings(format!("{name} {error}")))
    }
}
