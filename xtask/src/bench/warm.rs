//! Reads of a fresh token by an instance that is up: how many, how fast, and what they
//! ask of the database.

use std::net::SocketAddr;
use std::time::Duration;

use super::database::Database;
use super::figures::median;
use super::function::{Builds, Function, hello_request, token_request};
use super::pgbench::Pgbench;
use super::proxy::Proxy;
use super::report::{Report, Target};
use super::{Error, load, note};

/// Seconds of one measurement.
const SECONDS: u64 = 3;
const CLIENTS: usize = 32;

/// Token reads per second of one instance against pgbench, 32 clients each; then the
/// instance's memory.
pub fn throughput(
    builds: &Builds,
    database: &Database,
    rounds: usize,
    report: &mut Report,
) -> Result<(), Error> {
    let pgbench = Pgbench::new(database)?;
    let function = Function::token(builds, database, &database.url())?;
    let length = Duration::from_secs(SECONDS);
    load::run(function.address, &token_request(), CLIENTS, length)?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let theirs_now = pgbench.rate(CLIENTS, SECONDS)?;
        let ours_now = load::run(function.address, &token_request(), CLIENTS, length)?.rate;
        note(&format!(
            "read {round}/{rounds}: {ours_now:.0}/s, pgbench {theirs_now:.0}/s"
        ));
        ours.push(ours_now);
        theirs.push(theirs_now);
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    report.add(
        "token reads, 32 clients",
        format!("{ours:.0}/s"),
        format!("pgbench {theirs:.0}/s"),
        ours / theirs,
        Target::AtLeast(0.5),
    );
    let memory = function.peak_memory()?;
    report.add(
        "peak memory of that instance",
        format!("{memory:.1} MB"),
        "12 MB".to_owned(),
        memory / 12.0,
        Target::AtMost(1.0),
    );
    Ok(())
}

/// A token read by one client against a function that does nothing plus the statement alone.
pub fn latency(
    builds: &Builds,
    database: &Database,
    rounds: usize,
    report: &mut Report,
) -> Result<(), Error> {
    let pgbench = Pgbench::new(database)?;
    let token = Function::token(builds, database, &database.url())?;
    let hello = Function::start(&builds.hello, &[])?;
    let p50 = |address: SocketAddr, request: &[u8]| -> Result<f64, Error> {
        let outcome = load::run(address, request, 1, Duration::from_secs(SECONDS))?;
        Ok(median(&outcome.latencies) * 1e6)
    };
    p50(token.address, &token_request())?;

    let mut figures = [const { Vec::new() }; 3];
    for round in 1..=rounds {
        let now = [
            p50(token.address, &token_request())?,
            p50(hello.address, &hello_request())?,
            median(&pgbench.latencies(SECONDS)?) * 1e6,
        ];
        note(&format!(
            "latency {round}/{rounds}: {:.0} µs, hello {:.0} µs, pgbench {:.0} µs",
            now[0], now[1], now[2]
        ));
        figures
            .iter_mut()
            .zip(now)
            .for_each(|(all, now)| all.push(now));
    }
    let [ours, hello, statement] = figures.map(|all| median(&all));
    report.add(
        "token read, 1 client, p50",
        format!("{ours:.0} µs"),
        format!("hello {hello:.0} µs + pgbench {statement:.0} µs"),
        ours / (hello + statement),
        Target::AtMost(1.5),
    );
    Ok(())
}

/// Statements and round trips of a warm read, counted on the wire.
pub fn wire(builds: &Builds, database: &Database, report: &mut Report) -> Result<(), Error> {
    const READS: usize = 100;
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], database.postgres.port())))?;
    let url = format!(
        "postgres://postgres@{}/postgres?sslmode=disable",
        proxy.address
    );
    let function = Function::token(builds, database, &url)?;
    let read = |times| load::count(function.address, &token_request(), times);
    read(1)?;
    let cold = proxy.count();
    report.add(
        "connections of an instance's first read",
        cold.connections.to_string(),
        "1".to_owned(),
        cold.connections as f64,
        Target::AtMost(1.0),
    );
    read(READS)?;
    let warm = proxy.count();

    for (what, all) in [
        (
            "statements of a warm read",
            warm.statements - cold.statements,
        ),
        (
            "round trips of a warm read",
            warm.round_trips - cold.round_trips,
        ),
    ] {
        let each = all as f64 / READS as f64;
        report.add(
            what,
            format!("{each}"),
            "1".to_owned(),
            each,
            Target::AtMost(1.0),
        );
    }
    Ok(())
}
