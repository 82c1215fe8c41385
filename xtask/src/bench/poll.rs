//! `cargo xtask bench poll`: the mail worker on many mailboxes, alone and four at once, killed
//! in the middle, and what it missed or found twice.

mod world;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::function::{Function, build};
use super::{Error, note};
use world::World;

/// Milliseconds that the demo provider takes for each request.
const LATENCY_MS: u64 = 50;
/// Messages of the watched sender in each mailbox when it is looked at first.
const OLD_MESSAGES: usize = 2;

/// One line of the table.
struct Line {
    what: &'static str,
    invocations: usize,
    seconds: f64,
    mailboxes: u64,
    requests: u64,
    messages: u64,
    peak_mb: f64,
}

/// Measures, and prints a table. Fails when anything is missing or twice.
pub fn run() -> Result<(), Error> {
    let count = match std::env::var("GRANTKEEP_BENCH_MAILBOXES") {
        Ok(text) => text.parse()?,
        Err(_) => 10_000,
    };
    let cron = match std::env::var_os("GRANTKEEP_BENCH_CRON") {
        Some(other) => PathBuf::from(other),
        None => build(&["--package", "grantkeep", "--bin", "cron"])?,
    };
    let provider = match std::env::var_os("GRANTKEEP_BENCH_PROVIDER") {
        Some(other) => PathBuf::from(other),
        None => build(&["--package", "xtask", "--example", "demo_accounts"])?,
    };
    note(&format!(
        "{count} mailboxes, {LATENCY_MS} ms for each request"
    ));
    let world = World::start(&provider, count)?;
    world.slow_down(LATENCY_MS)?;
    let mut lines = Vec::new();
    let mut expected = OLD_MESSAGES * count;
    world.deliver(OLD_MESSAGES, |_| true)?;

    lines.push(measure(&world, &cron, "first look", 1)?);
    check(&world, expected)?;
    for invocations in [1, 4] {
        world.make_due()?;
        lines.push(measure(&world, &cron, "nothing new", invocations)?);
        check(&world, expected)?;
    }
    for invocations in [1, 4] {
        world.make_due()?;
        world.deliver(1, |number| number % 10 == 0)?;
        expected += count.div_ceil(10);
        lines.push(measure(
            &world,
            &cron,
            "a message in each tenth",
            invocations,
        )?);
        check(&world, expected)?;
    }
    world.make_due()?;
    world.deliver(1, |_| true)?;
    expected += count;
    lines.push(killed(&world, &cron, count)?);
    check(&world, expected)?;

    println!(
        "| {count} mailboxes due | invocations | time | mailboxes | requests | each | messages | peak memory |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for line in &lines {
        println!(
            "| {} | {} | {:.1} s | {} | {} | {:.2} | {} | {:.1} MB |",
            line.what,
            line.invocations,
            line.seconds,
            line.mailboxes,
            line.requests,
            line.requests as f64 / count as f64,
            line.messages,
            line.peak_mb,
        );
    }
    println!("\nMissed: 0. Stored twice: 0.");
    Ok(())
}

/// Runs until nothing is due: so many processes at once, each called again while it says
/// that some are left.
fn measure(
    world: &World,
    cron: &std::path::Path,
    what: &'static str,
    invocations: usize,
) -> Result<Line, Error> {
    let functions = start(world, cron, invocations)?;
    world.forget_calls()?;
    let began = Instant::now();
    let done = std::thread::scope(|scope| {
        let running: Vec<_> = functions
            .iter()
            .map(|function| scope.spawn(move || until_nothing_is_due(world, function)))
            .collect();
        running
            .into_iter()
            .map(|one| one.join().map_err(|_| "a caller panicked".to_owned())?)
            .collect::<Result<Vec<_>, String>>()
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let sum = |name: &str| {
        let counts = done.iter().flatten();
        counts.filter_map(|one| one[name].as_u64()).sum::<u64>()
    };
    if sum("failed") > 0 {
        return Err(format!("{what}: {} polls failed", sum("failed")).into());
    }
    let calls = world.calls()?;
    if calls != sum("requests") {
        return Err(format!("{what}: the provider saw {calls} requests").into());
    }
    let mut peak_mb: f64 = 0.0;
    for function in &functions {
        peak_mb = peak_mb.max(function.peak_memory()?);
    }
    Ok(Line {
        what,
        invocations,
        seconds,
        mailboxes: sum("mailboxes"),
        requests: calls,
        messages: sum("messages"),
        peak_mb,
    })
}

/// Four at once, two of which are killed when a third of the work is done; their leases are
/// let run out, and two go on.
fn killed(world: &World, cron: &std::path::Path, count: usize) -> Result<Line, Error> {
    let mut functions = start(world, cron, 4)?;
    world.forget_calls()?;
    let before = world.stored()?.0;
    let began = Instant::now();
    let doomed = functions.split_off(2);
    let mut peak_mb: f64 = 0.0;
    std::thread::scope(|scope| {
        let running: Vec<_> = functions
            .iter()
            .map(|function| scope.spawn(move || until_nothing_is_due(world, function)))
            .collect();
        // Their answers never come.
        for function in &doomed {
            let address = function.address;
            scope.spawn(move || drop(world.poll(address)));
        }
        while world.calls()? < count as u64 {
            std::thread::sleep(Duration::from_millis(20));
        }
        for function in doomed {
            peak_mb = peak_mb.max(function.peak_memory()?);
            drop(function);
        }
        for one in running {
            one.join().map_err(|_| "a caller panicked")??;
        }
        Ok::<(), Error>(())
    })?;
    let left = world.end_leases()?;
    note(&format!("the killed ones held {left} mailboxes"));
    if left == 0 {
        return Err("the killed ones held no mailbox: nothing was tried".into());
    }
    for function in &functions {
        until_nothing_is_due(world, function)?;
        peak_mb = peak_mb.max(function.peak_memory()?);
    }
    Ok(Line {
        what: "a message in each, two of four killed",
        invocations: 4,
        seconds: began.elapsed().as_secs_f64(),
        mailboxes: count as u64,
        requests: world.calls()?,
        messages: (world.stored()?.0 - before) as u64,
        peak_mb,
    })
}

fn start(world: &World, cron: &std::path::Path, count: usize) -> Result<Vec<Function>, Error> {
    (0..count)
        .map(|_| Function::start(cron, &world.variables()))
        .collect()
}

/// The error is a text, as it comes from another thread.
fn until_nothing_is_due(world: &World, function: &Function) -> Result<Vec<Value>, String> {
    let mut done = Vec::new();
    loop {
        let counts = world.poll(function.address).map_err(|e| e.to_string())?;
        let more = counts["more"] == true;
        done.push(counts);
        if !more {
            return Ok(done);
        }
    }
}

fn check(world: &World, expected: usize) -> Result<(), Error> {
    let (rows, messages) = world.stored()?;
    match (rows, messages) == (expected, expected) {
        true => Ok(()),
        false => {
            Err(format!("{expected} messages came, {messages} are stored in {rows} rows").into())
        }
    }
}
