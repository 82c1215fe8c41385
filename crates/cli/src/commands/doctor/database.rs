//! Whether the database can be reached and used, what stands before it, and whether its
//! clock and tables fit.

use std::time::Instant;

use chrono::Utc;
use grantkeep_core::App;
use grantkeep_core::store::database_url::Verification;
use grantkeep_core::store::{Store, StoreError, inspect, schema};

use super::finding::Findings;

/// The oldest server that the suite runs on.
const OLDEST: i32 = 140_000;
/// Sessions and id_tokens are checked with so much tolerance.
const SKEW: f64 = 60.0;

/// Looks at the database; whether it can be asked at all.
pub async fn examine(store: &Store, app: Option<&App>, findings: &mut Findings) -> bool {
    let began = Instant::now();
    // The first answer needs a connection; the second one tells the way there and back.
    let reached = store.ping().await;
    let connected = began.elapsed();
    if let Err(error) = reached {
        findings.fail(
            "database",
            error.to_string(),
            "check DATABASE_URL, that the server is up, and that it lets this machine in",
        );
        return false;
    }
    let asked = Instant::now();
    let server = match inspect::server(store).await {
        Ok(server) => server,
        Err(error) => {
            findings.fail("database", error.to_string(), "look into the server's log");
            return false;
        }
    };
    let round_trip = asked.elapsed();
    let what = format!(
        "PostgreSQL {}, connected in {} ms, {:.1} ms for a statement",
        server.version,
        connected.as_millis(),
        round_trip.as_secs_f64() * 1e3
    );
    match server.version_number >= OLDEST {
        true => findings.ok("database", what),
        false => findings.warn("database", what, "use PostgreSQL 14 or newer"),
    }
    if server.read_only {
        findings.fail(
            "database writes",
            "it takes no writes",
            "let DATABASE_URL name the primary server, not a replica",
        );
    }
    clock(&server, round_trip.as_secs_f64(), findings);
    if let Some(app) = app {
        encryption(app, findings);
    }
    let local = app.is_some_and(|app| app.settings.database.is_local());
    pooler(store, local, findings).await;
    tables(store, &server, findings).await;
    true
}

fn clock(server: &inspect::Server, round_trip: f64, findings: &mut Findings) {
    let ahead = (Utc::now() - server.now).as_seconds_f64() - round_trip / 2.0;
    match ahead.abs() < SKEW / 2.0 {
        true => findings.ok("clock", format!("{ahead:+.1} s from the database's")),
        false => findings.warn(
            "clock",
            format!("this machine's clock is {ahead:+.0} s from the database's"),
            "set both by NTP: tokens end by the database's clock, sessions by the machine's",
        ),
    }
}

fn encryption(app: &App, findings: &mut Findings) {
    let database = &app.settings.database;
    let (word, safe) = match database.verification() {
        Verification::Disable => ("no TLS", false),
        Verification::Prefer => ("TLS if the server has it, unchecked", false),
        Verification::Require => ("TLS, the server unchecked", false),
        Verification::VerifyCa => ("TLS with a known authority's certificate", true),
        Verification::VerifyFull => ("TLS, the server proves its name", true),
    };
    match safe || database.is_local() {
        true => findings.ok("database tls", word),
        false => findings.warn(
            "database tls",
            format!("{word}, over a network"),
            "put sslmode=verify-full into DATABASE_URL, with DATABASE_CA_CERT if need be",
        ),
    }
}

async fn pooler(store: &Store, local: bool, findings: &mut Findings) {
    const NONE: &str =
        "each client has a server connection of its own (no pooler, or one in session mode)";
    match inspect::has_transaction_pooler(store).await {
        Ok(true) => findings.ok(
            "pooler",
            "a pooler gives each transaction another connection: made for this",
        ),
        Ok(false) if local => findings.ok("pooler", NONE),
        Ok(false) => findings.warn(
            "pooler",
            NONE,
            "many instances at once can use up max_connections: take the address of a transaction \
             pooler (PgBouncer, Neon and Supabase have one)",
        ),
        Err(error) => findings.warn(
            "pooler",
            format!("could not be told: {error}"),
            "see whether the server has connections left",
        ),
    }
}

async fn tables(store: &Store, server: &inspect::Server, findings: &mut Findings) {
    let states = match schema::state(store).await {
        Ok(states) => states,
        Err(error) => return unreadable(&error, findings),
    };
    for changed in states.iter().filter(|one| one.changed) {
        findings.fail(
            "schema",
            format!("{} was changed after it was applied", changed.name),
            "run the release that applied it, or restore the file",
        );
    }
    let pending = states.iter().filter(|one| one.applied_at.is_none()).count();
    match (pending, server.may_create) {
        (0, _) => findings.ok("schema", format!("{} migrations applied", states.len())),
        (pending, true) => findings.warn(
            "schema",
            format!("{pending} migrations to apply; the first write does that"),
            "or run `grantkeep migrate` now",
        ),
        (pending, false) => findings.fail(
            "schema",
            format!("{pending} migrations to apply, and this role may not create tables"),
            "run `grantkeep migrate` once with a DATABASE_URL of a role that may",
        ),
    }
}

fn unreadable(error: &StoreError, findings: &mut Findings) {
    findings.fail(
        "schema",
        error.to_string(),
        "let the role of DATABASE_URL read and write the tables",
    );
}
