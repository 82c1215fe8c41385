//! `cargo xtask bench rotate-keys`: many connections under a new key, first alone, then with
//! reads and refreshes running all the while; what failed and what was lost.

mod traffic;
mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::function::{build, peak_memory};
use super::{Error, note};
use traffic::{Count, Traffic};
use world::{LIVE, World};

/// One line of the table.
struct Line {
    what: &'static str,
    seconds: f64,
    resealed: u64,
    count: Count,
    peak_mb: f64,
}

/// Measures, and prints a table. Fails when a row is left under an older key or a token set
/// is lost.
pub fn run() -> Result<(), Error> {
    let rows = match std::env::var("GRANTKEEP_BENCH_ROWS") {
        Ok(text) => text.parse()?,
        Err(_) => 100_000,
    };
    let built = |variable: &str, target: &[&str]| match std::env::var_os(variable) {
        Some(other) => Ok(PathBuf::from(other)),
        None => build(target),
    };
    let cli = ["--package", "grantkeep-cli", "--bin", "grantkeep"];
    let cli = built("GRANTKEEP_BENCH_CLI", &cli)?;
    let token = ["--package", "grantkeep", "--bin", "token"];
    let token = built("GRANTKEEP_BENCH_TOKEN", &token)?;
    let provider = ["--package", "xtask", "--example", "demo_accounts"];
    let provider = built("GRANTKEEP_BENCH_PROVIDER", &provider)?;

    if rows < LIVE {
        return Err(format!("GRANTKEEP_BENCH_ROWS must be {LIVE} or more").into());
    }
    note(&format!("{rows} connections, {LIVE} of them refreshed"));
    let mut world = World::start(&provider, rows)?;
    let quiet = rotate(&mut world, &cli, "alone", None)?;
    let busy = rotate(&mut world, &cli, "with reads and refreshes", Some(&token))?;
    note("looking at every refreshed connection with the newest key alone");
    let lost = world.lost(&token, &busy.count.tokens)?;

    println!(
        "| {rows} connections | time | sealed | each second | reads | refreshes | failures | peak memory |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for line in [&quiet, &busy] {
        let Line { what, seconds, .. } = line;
        println!(
            "| {what} | {seconds:.1} s | {} | {:.0} | {} | {} | {} | {:.1} MB |",
            line.resealed,
            line.resealed as f64 / seconds,
            line.count.reads,
            line.count.tokens.len(),
            line.count.failures,
            line.peak_mb,
        );
    }
    println!(
        "\nLeft under an older key: {}. Refreshes lost: {lost}.",
        world.aged()?
    );
    match (world.aged()?, lost, busy.count.failures) {
        (0, 0, 0) => Ok(()),
        _ => Err("something was left, lost or failed".into()),
    }
}

/// One rotation to a new key; with a token function, that is asked all the while.
fn rotate(
    world: &mut World,
    cli: &Path,
    what: &'static str,
    token: Option<&Path>,
) -> Result<Line, Error> {
    world.new_key()?;
    let traffic = token
        .map(|token| Traffic::start(world, token))
        .transpose()?;
    // The traffic runs before the rotation does.
    std::thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    let mut child = Command::new(cli)
        .args(["rotate-keys", "--yes", "--json"])
        .env_clear()
        .envs(world.variables())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut peak_mb: f64 = 0.0;
    while child.try_wait()?.is_none() {
        // None where it ends in between.
        peak_mb = peak_mb.max(peak_memory(child.id()).unwrap_or_default());
        std::thread::sleep(Duration::from_millis(10));
    }
    let seconds = began.elapsed().as_secs_f64();
    let output = child.wait_with_output()?;
    let count = traffic.map(Traffic::stop).transpose()?.unwrap_or_default();
    let report: Value = serde_json::from_slice(&output.stdout)?;
    match (output.status.success(), report["resealed"].as_u64()) {
        (true, Some(resealed)) => Ok(Line {
            what,
            seconds,
            resealed,
            count,
            peak_mb,
        }),
        _ => Err(format!("rotate-keys failed: {report}").into()),
    }
}
