//! `cargo xtask bench`: each figure beside its reference, measured in turns in one
//! run, because machines are noisy; medians are reported.

mod cache;
mod cold_start;
mod database;
mod figures;
mod function;
mod load;
mod pgbench;
mod poll;
mod proxy;
mod report;
mod rotate;
mod scheduled;
mod size;
mod tables;
mod warm;

use std::process::ExitCode;

use database::Database;
use function::Builds;
use report::Report;

/// What can be measured alone.
pub const PARTS: [&str; 6] = ["read", "latency", "wire", "cold-start", "size", "all"];

/// What is measured alone only.
pub const LARGE: [&str; 6] = [
    "cache",
    "poll",
    "import-table",
    "refresh-ahead",
    "kills",
    "rotate-keys",
];

/// Why nothing was measured, for people.
type Error = Box<dyn std::error::Error>;

/// Measures one part, or all of them, and prints a table. Fails when something could
/// not be measured, not when a target is missed: machines differ.
pub fn run(part: &str) -> ExitCode {
    match measure(part) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one that stands alone: what works on many connections, and takes minutes.
pub fn run_large(part: &str) -> ExitCode {
    let done = match part {
        "cache" => rounds().and_then(cache::run),
        "poll" => poll::run(),
        "import-table" => tables::run(),
        "refresh-ahead" => scheduled::run("bench::refresh_ahead"),
        "kills" => scheduled::run("kills::two_hundred_kills"),
        "rotate-keys" => rotate::run(),
        other => Err(format!("nothing is called {other}").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How often each pair is measured.
fn rounds() -> Result<usize, Error> {
    match std::env::var("GRANTKEEP_BENCH_ROUNDS") {
        Ok(text) => text
            .parse()
            .ok()
            .filter(|rounds| *rounds > 0)
            .ok_or_else(|| "GRANTKEEP_BENCH_ROUNDS must be a number above 0".into()),
        Err(_) => Ok(7),
    }
}

fn measure(part: &str) -> Result<Report, Error> {
    let wanted = |name: &str| part == name || part == "all";
    let rounds = rounds()?;
    let builds = Builds::make()?;
    let mut report = Report::default();
    if wanted("size") || part == "cold-start" {
        size::measure(&builds, &mut report)?;
    }
    if part != "size" {
        let database = Database::start()?;
        if wanted("wire") {
            warm::wire(&builds, &database, &mut report)?;
        }
        if wanted("cold-start") {
            cold_start::measure(&builds, &database, rounds, &mut report)?;
        }
        if wanted("latency") {
            warm::latency(&builds, &database, rounds, &mut report)?;
        }
        if wanted("read") {
            warm::throughput(&builds, &database, rounds, &mut report)?;
        }
    }
    Ok(report)
}

fn note(text: &str) {
    eprintln!("# {text}");
}
