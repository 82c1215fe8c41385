//! Finds the binary to run, built from the sources as they are now.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::Value;

/// The binary of an example, built if it is missing or older than its sources.
pub fn example(package: &str, name: &str) -> PathBuf {
    let profile = profile_of_this_test();
    find(
        &profile,
        package,
        &["--example", name],
        name,
        Path::new("examples"),
    )
}

/// A package's binary, built if it is missing or older than its sources.
pub fn binary(package: &str, name: &str) -> PathBuf {
    let profile = profile_of_this_test();
    find(&profile, package, &["--bin", name], name, Path::new(""))
}

/// The same as it is deployed: of the release profile. All of the package's binaries are built
/// together, which is much faster than one after the other.
pub fn release_binary(package: &str, name: &str) -> PathBuf {
    let profile = profile_of_this_test().with_file_name("release");
    find(&profile, package, &["--bins"], name, Path::new(""))
}

/// `target/<profile>`; this test lies in `deps` below it.
fn profile_of_this_test() -> PathBuf {
    let this = env::current_exe().expect("the path of this test");
    let profile = this.ancestors().nth(2);
    profile
        .expect("a test lies in target/<profile>/deps")
        .to_owned()
}

/// A run of all tests has built it already, and asking Cargo again could build the dependencies a
/// second time: it selects other features for one package than for all.
fn find(profile: &Path, package: &str, selected: &[&str], name: &str, folder: &Path) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

    let built = profile.join(folder).join(name);
    if is_fresh(&built) == Some(true) {
        return built;
    }
    build(profile, package, selected, name)
}

/// Whether `built` is as young as every source that Cargo notes beside it. `None`: not built.
#[allow(
    clippy::disallowed_methods,
    reason = "only tests read what Cargo wrote"
)]
fn is_fresh(built: &Path) -> Option<bool> {
    let modified = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    let built_at = modified(built)?;
    let notes = fs::read_to_string(built.with_extension("d")).ok()?;
    let (_, sources) = notes.lines().next()?.split_once(": ")?;
    // A space within a path is escaped.
    let sources = sources.replace("\\ ", "\0");
    let mut sources = sources.split(' ').map(|source| source.replace('\0', " "));
    Some(sources.all(|source| modified(Path::new(&source)).is_some_and(|at| at <= built_at)))
}

fn build(profile: &Path, package: &str, selected: &[&str], name: &str) -> PathBuf {
    let profile = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--quiet",
            "--message-format=json",
            "--profile",
            profile,
        ])
        .args(["--package", package])
        .args(selected)
        .stderr(Stdio::inherit())
        .output()
        .expect("Cargo to start");
    assert!(output.status.success(), "cannot build {name} of {package}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("Cargo to name the executable")
}
