//! Everything that can keep a server from starting, in words a developer can act on.

use std::io;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No rung of the ladder gave a usable PostgreSQL; `hint` is what to type on this system.
    #[error("found no PostgreSQL to start:\n{}\n{hint}", bullets(.tried))]
    NotFound {
        /// What was looked at, and why it would not do.
        tried: Vec<String>,
        /// How to install PostgreSQL here.
        hint: String,
    },
    /// `GRANTKEEP_DEVPG` names no rung.
    #[error("GRANTKEEP_DEVPG is {0:?}; it may be system, npm or pip")]
    UnknownRung(String),
    /// PostgreSQL refuses to run as root, and no other identity could be taken.
    #[error("PostgreSQL cannot run as this user, and not as another one either: {}", .0.join("; "))]
    NoIdentity(Vec<String>),
    /// `initdb` failed; what it printed.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// The server ended before it was ready; the end of its log.
    #[error("PostgreSQL ended before it was ready:\n{0}")]
    Ended(String),
    /// The server did not get ready in time; the end of its log.
    #[error("PostgreSQL was not ready after {seconds} s:\n{log}")]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// The end of the server's log.
        log: String,
    },
    /// The file system or the process table refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The refusal.
        source: io::Error,
    },
}

fn bullets(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| format!("  - {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Adds what was being done to an [`io::Error`].
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            what: what(),
            source,
        })
    }
}
