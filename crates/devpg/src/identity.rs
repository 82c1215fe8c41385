//! As whom the server runs. PostgreSQL refuses root, and initdb refuses a uid without a passwd entry.

use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::keeper;
use crate::sys::{self, Signal, User};

/// The user the server runs as; proven to work before it is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// As we are.
    Own,
    /// As another user, which only root can do.
    Other(User),
    /// As we are, but seen as this user from inside a user namespace.
    Namespace(User),
}

impl Identity {
    /// The first identity PostgreSQL accepts and the system grants.
    pub(crate) fn choose() -> Result<Identity, Error> {
        let own = sys::effective_user();
        if own.uid != 0 && sys::has_passwd_entry(own.uid) {
            return Ok(Identity::Own);
        }
        let named: Vec<_> = [c"postgres", c"nobody"]
            .into_iter()
            .filter_map(|name| Some((name.to_string_lossy(), sys::user_named(name)?)))
            .collect();

        let mut tried = Vec::new();
        if own.uid == 0 {
            for (name, user) in &named {
                match Identity::Other(*user).can_enter(Path::new("/")) {
                    Ok(()) => return Ok(Identity::Other(*user)),
                    Err(error) => tried.push(format!("becoming {name}: {error}")),
                }
            }
        }
        for (name, user) in named.iter().rev() {
            match Identity::Namespace(*user).can_enter(Path::new("/")) {
                Ok(()) => return Ok(Identity::Namespace(*user)),
                Err(error) => tried.push(format!("a user namespace as {name}: {error}")),
            }
        }
        if named.is_empty() {
            tried.push("there is neither a user postgres nor a user nobody".into());
        }
        Err(Error::NoIdentity(tried))
    }

    /// Whether a process of this identity can be started with `directory` as its current one.
    pub(crate) fn can_enter(self, directory: &Path) -> io::Result<()> {
        let mut command = self.command(Path::new("/bin/sh"));
        command
            .args(["-c", ":"])
            .current_dir(directory)
            .stdin(Stdio::null());
        let status = keeper::spawn(command, Signal::Kill)?.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(status.to_string()))
        }
    }

    /// A command of this identity with an environment of its own: ours may hold secrets (SQL can read the server's
    /// environment) and `PG*` variables meant for somebody else's server.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC");
        for name in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        match self {
            Identity::Own => {}
            Identity::Other(user) => {
                command.uid(user.uid).gid(user.gid);
            }
            Identity::Namespace(user) => sys::in_user_namespace(&mut command, user),
        }
        command
    }

    /// Gives `path` to the server's user.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Identity::Own | Identity::Namespace(_) => Ok(()),
            Identity::Other(user) => chown(path, Some(user.uid), Some(user.gid)),
        }
    }
}
