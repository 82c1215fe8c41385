//! Files that operators name: found below directories, read up to a limit, and made so
//! that nobody else can read them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Deeper directories are not looked into: nobody keeps tokens there.
const DEPTH: usize = 8;

/// Every file that `paths` name, directories looked through by name. Hidden files are left
/// out, and links are not followed, unless they are named themselves.
pub fn below(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => walk(path, DEPTH, &mut files)?,
            false => files.push(path.clone()),
        }
    }
    Ok(files)
}

fn walk(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: io::Error| {
        Failure::new(
            "unreadable",
            format!("{}: cannot be read: {error}", directory.display()),
        )
    };
    let mut entries = std::fs::read_dir(directory)
        .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
        .map_err(unreadable)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(unreadable)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() && depth > 0 {
            walk(&entry.path(), depth - 1, files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// The beginning of a file, one byte more than `limit` at the most; `-` is stdin.
pub fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = limit as u64 + 1;
    match path.as_os_str() == "-" {
        true => io::stdin().lock().take(limit).read_to_end(&mut bytes)?,
        false => File::open(path)?.take(limit).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

/// A new file that only its owner may read; one that is there already is an error.
pub fn create_private(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AlreadyExists => "is there already: name another".to_owned(),
            _ => format!("cannot be written: {error}"),
        };
        Failure::new("unwritable", format!("{}: {why}", path.display()))
    })
}
