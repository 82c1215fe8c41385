//! How fast the scheduled refresh is: real processes of the function over many connections
//! of which one in ten is due, at a provider that takes as long as real ones do.

use std::time::{Duration, Instant};

use grantkeep_runtime::test_hosts::{Kind, TestHost};
use grantkeep_tests::TestApi;
use grantkeep_tests::api::CRON_SECRET;
use grantkeep_tests::bulk::{self, DUE, FRESH};
use grantkeep_tests::deployment::{program, start};
use grantkeep_tests::http::{client, send};
use serde_json::Value;

use crate::support::{REFRESH, count, execute};

/// Milliseconds that the provider takes for a refresh.
const DELAY: u64 = 100;

/// What one round came to.
struct Round {
    seconds: f64,
    /// Invocations, one after the other in each process.
    runs: usize,
    refreshed: u64,
    asked: usize,
    /// MB (10^6 bytes) of the largest process.
    memory: f64,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: cargo xtask bench refresh-ahead"]
async fn refresh_ahead() {
    let connections = std::env::var("GRANTKEEP_BENCH_CONNECTIONS").ok();
    let connections = connections.and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let due = connections / 10;
    let api = TestApi::builder()
        .variable("LOG_LEVEL", "warn")
        .start()
        .await;
    let seeded = Instant::now();
    bulk::connections(&api.app, &api.provider, FRESH, connections - due).await;
    bulk::connections(&api.app, &api.provider, DUE, due).await;
    execute(&api, "create table due as select id from oauth_tokens where expires_at < now() + interval '2 minutes'; analyze").await;
    println!(
        "{connections} connections, {due} due, seeded in {:.0} s",
        seeded.elapsed().as_secs_f64()
    );
    api.provider.update(|knobs| knobs.delay_ms = DELAY);

    println!(
        "| processes | time | runs | refreshed | provider calls | per second | peak memory | speed-up |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut alone = None;
    for processes in [1, 2, 4] {
        execute(&api, "update oauth_tokens set expires_at = now() + interval '1 minute', last_refreshed_at = now() - interval '59 minutes' where id in (select id from due)").await;
        execute(&api, "vacuum analyze oauth_tokens").await;
        let round = round(&api, processes).await;
        let alone = *alone.get_or_insert(round.seconds);
        println!(
            "| {processes} | {:.1} s | {} | {} | {} | {:.0} | {:.1} MB | {:.2} |",
            round.seconds,
            round.runs,
            round.refreshed,
            round.asked,
            round.refreshed as f64 / round.seconds,
            round.memory,
            alone / round.seconds,
        );
        assert_eq!((round.refreshed, round.asked), (due as u64, due));
        let left = "oauth_tokens where lease_id is not null or status <> 'active' or expires_at < now() + interval '2 minutes'";
        assert_eq!(count(&api, left).await, 0);
    }
}

/// Lets so many processes work until nothing is due.
async fn round(api: &TestApi, processes: usize) -> Round {
    api.provider.reset_counts();
    let program = program("cron").await;
    let mut hosts = Vec::new();
    for _ in 0..processes {
        hosts.push(start(Kind::Port, &program, None, &api.variables).await);
    }
    let began = Instant::now();
    let mut working = tokio::task::JoinSet::new();
    for host in &hosts {
        working.spawn(work(host.port().expect("a port")));
    }
    let (mut runs, mut refreshed) = (0, 0);
    while let Some(done) = working.join_next().await {
        let (own, of_it) = done.expect("no panic");
        runs += own;
        refreshed += of_it;
    }
    Round {
        seconds: began.elapsed().as_secs_f64(),
        runs,
        refreshed,
        asked: api.provider.refresh_requests(),
        memory: hosts.iter().map(peak_memory).fold(0.0, f64::max),
    }
}

/// Runs until there is no more; how often, and what they refreshed.
async fn work(port: u16) -> (usize, u64) {
    let (mut runs, mut refreshed) = (0, 0);
    loop {
        let began = Instant::now();
        let request = client()
            .get(format!("http://127.0.0.1:{port}{REFRESH}"))
            .timeout(Duration::from_secs(70))
            .bearer_auth(CRON_SECRET);
        let reply = send(request).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "longer than a function may"
        );
        let done: Value = reply.json();
        assert_eq!(done["failed"], 0, "{done}");
        runs += 1;
        refreshed += done["refreshed"].as_u64().expect("a count");
        if done["more"] == false {
            return (runs, refreshed);
        }
    }
}

fn peak_memory(host: &TestHost) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.process_id()));
    let kibibytes = status.ok().and_then(|status| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    });
    kibibytes.expect("VmHWM") * 1024.0 / 1e6
}
