//! A copy of what git knows of the project, for tools that take whatever lies in a folder:
//! neither somebody's notes nor their link to a real account take part.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::steps::run;
use super::{Error, root};

/// Makes `copy` hold the project's files and no others, `kept` aside. What is the same
/// already stays untouched, so that Cargo builds only what changed.
pub fn copy(copy: &Path, kept: &str) -> Result<usize, Error> {
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let listed = run(Command::new("git").args(list).current_dir(root()))?;
    let files: BTreeSet<PathBuf> = listed
        .split_terminator('\0')
        .map(PathBuf::from)
        // Deleted, and not yet for git.
        .filter(|file| root().join(file).is_file())
        .collect();

    for file in below(copy)? {
        if !file.starts_with(kept) && !files.contains(&file) {
            fs::remove_file(copy.join(file))?;
        }
    }
    for file in &files {
        let (from, to) = (root().join(file), copy.join(file));
        if fs::read(&to).is_ok_and(|old| fs::read(&from).is_ok_and(|new| old == new)) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(copy))?;
        fs::copy(from, to)?;
    }
    Ok(files.len())
}

/// Every file below a folder, by its path from there; none where there is no folder.
pub fn below(folder: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let mut files = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop().filter(|next| next.is_dir()) {
        for entry in fs::read_dir(&next)? {
            let entry = entry?;
            // What a symlink leads to, too: it would be deployed.
            match fs::metadata(entry.path()).is_ok_and(|what| what.is_dir()) {
                true => folders.push(entry.path()),
                false => {
                    files.insert(entry.path().strip_prefix(folder)?.to_owned());
                }
            }
        }
    }
    Ok(files)
}
