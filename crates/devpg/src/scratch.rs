//! Directories that belong to one process and go with it. A lock on the file `owner` says that the process lives: the
//! kernel drops it with the process, so neither a reused pid nor another pid namespace can mislead the sweep.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use crate::{guard, sys};

const PREFIX: &str = "grantkeep-devpg-";

/// A directory without `owner` may be one that is being made; older than this it is not.
const HALF_MADE: Duration = Duration::from_secs(600);

/// A locked directory, removed on drop.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    _owner: File,
}

impl Scratch {
    /// Makes a directory in `parent` that others may pass through but not list.
    pub(crate) fn create_in(parent: &Path) -> io::Result<Scratch> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let process = std::process::id();
        let path = loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{PREFIX}{process}-{count}"));
            match DirBuilder::new().mode(0o711).create(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        match claim(&path) {
            Ok(owner) => Ok(Scratch {
                path,
                _owner: owner,
            }),
            Err(error) => {
                let _ = fs::remove_dir_all(&path);
                Err(error)
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Locks the owner file before it gets its name, so that a sweep never sees it unlocked.
fn claim(directory: &Path) -> io::Result<File> {
    // A umask may have taken the right to pass through, which the server's user needs.
    fs::set_permissions(
        directory,
        std::os::unix::fs::PermissionsExt::from_mode(0o711),
    )?;
    let unnamed = directory.join("owner.new");
    let owner = File::create(&unnamed)?;
    owner.lock()?;
    fs::rename(&unnamed, directory.join("owner"))?;
    Ok(owner)
}

/// Removes what processes of this user that no longer live have left in `parent`, servers included. What cannot be
/// removed stays for the next sweep.
pub(crate) fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            sweep_one(&entry.path());
        }
    }
}

fn sweep_one(path: &Path) {
    let Ok(found) = fs::symlink_metadata(path) else {
        return;
    };
    if !found.is_dir() || found.uid() != sys::effective_user().uid {
        return;
    }
    let owner = match File::open(path.join("owner")) {
        Ok(owner) => Some(owner),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => return,
    };
    match owner.as_ref().map(File::try_lock) {
        // Held until the directory is gone, so that two sweeps do not meet.
        Some(Ok(())) => {}
        Some(Err(TryLockError::WouldBlock | TryLockError::Error(_))) => return,
        None if is_older(&found, HALF_MADE) => {}
        None => return,
    }
    guard::end_server_of_dead_owner(&path.join("data"));
    let _ = fs::remove_dir_all(path);
}

fn is_older(metadata: &fs::Metadata, age: Duration) -> bool {
    let Ok(modified) = metadata.modified() else {
        return false;
    };
    SystemTime::now()
        .duration_since(modified)
        .is_ok_and(|passed| passed > age)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(name: &str) -> Scratch {
        let parent = Scratch::create_in(&std::env::temp_dir()).unwrap();
        fs::create_dir(parent.path().join(name)).unwrap();
        parent
    }

    #[test]
    fn a_directory_whose_owner_is_gone_is_swept() {
        let parent = parent("x");
        let left = parent.path().join("grantkeep-devpg-1-0");
        fs::create_dir_all(left.join("data/base")).unwrap();
        fs::write(left.join("owner"), "").unwrap();

        sweep(parent.path());

        assert!(!left.exists());
    }

    #[test]
    fn a_directory_whose_owner_lives_is_kept() {
        let parent = parent("x");
        let held = Scratch::create_in(parent.path()).unwrap();

        sweep(parent.path());

        assert!(held.path().join("owner").exists());
    }

    #[test]
    fn a_directory_that_is_being_made_and_a_foreign_name_are_kept() {
        let parent = parent("somebody-elses");
        let young = parent.path().join("grantkeep-devpg-1-1");
        fs::create_dir(&young).unwrap();

        sweep(parent.path());

        assert!(young.exists());
        assert!(parent.path().join("somebody-elses").exists());
    }

    #[test]
    fn a_link_is_not_followed() {
        let parent = parent("target");
        let target = parent.path().join("target");
        fs::write(target.join("owner"), "").unwrap();
        std::os::unix::fs::symlink(&target, parent.path().join("grantkeep-devpg-1-2")).unwrap();

        sweep(parent.path());

        assert!(target.join("owner").exists());
    }
}
