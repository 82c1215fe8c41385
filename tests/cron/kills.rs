//! SIGKILL in the middle of refreshes with refresh tokens that work once. What is lost then
//! is what the provider had answered and nobody wrote down yet, and it says so.

use std::collections::BTreeMap;
use std::time::Duration;

use grantkeep_core::connection::{Column, ConnectionId};
use grantkeep_core::credentials::Credentials;
use grantkeep_core::store::oauth_tokens::{self, Status};
use grantkeep_demo_provider::RefreshTokens;
use grantkeep_tests::api::{CRON_SECRET, KEY};
use grantkeep_tests::bulk::{self, DUE};
use grantkeep_tests::http::client;
use grantkeep_tests::instance::Process;
use grantkeep_tests::{TestApi, database};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{REFRESH, count, execute, run};

const CONNECTIONS: usize = 40;

/// Everything that is alive is due again, and leases of the dead have run out.
const DUE_AGAIN: &str = "
    update oauth_tokens
       set expires_at = now() - interval '1 second', retry_at = null,
           lease_until = case when lease_id is not null then now() end,
           last_refreshed_at = now() - interval '1 hour', status_since = now() - interval '1 hour'
     where status = 'active'";

/// What so many kills came to.
struct Tally {
    kills: usize,
    /// Leases whose holder was killed.
    interrupted: u64,
    /// Refreshes that a process finished and saved.
    saved: u64,
    /// Dead connections by reason.
    dead: BTreeMap<String, u64>,
}

/// Kills alternately the scheduled job, with sixteen refreshes under way, and the token
/// function, with a dozen reads.
async fn kill(kills: usize) -> Tally {
    let api = TestApi::builder()
        .provider("gmail", json!({"refresh_tokens": "single_use"}))
        .start()
        .await;
    api.provider.update(|knobs| {
        knobs.refresh_tokens = RefreshTokens::SingleUse;
        knobs.delay_ms = 40;
    });
    let mut ids = bulk::connections(&api.app, &api.provider, DUE, CONNECTIONS).await;
    let watcher = database::connect(&api.database_url).await;
    let mut interrupted = 0;
    for number in 0..kills {
        let alive = count(&api, "oauth_tokens where status = 'active'").await as usize;
        let missing = CONNECTIONS.saturating_sub(alive);
        ids.extend(bulk::connections(&api.app, &api.provider, DUE, missing).await);
        execute(&api, DUE_AGAIN).await;

        let function = if number % 2 == 0 { "cron" } else { "token" };
        let process = Process::start(function, &api.variables).await;
        let requests: Vec<_> = match function {
            "cron" => vec![(REFRESH.to_owned(), CRON_SECRET)],
            _ => ids
                .iter()
                .rev()
                .take(12)
                .map(|id| (format!("/api/token?provider=gmail&actor={id}"), KEY))
                .collect(),
        };
        let mut asking = JoinSet::new();
        for (path, bearer) in requests {
            let url = format!("{}{path}", process.origin);
            asking.spawn(client().get(url).bearer_auth(bearer).send());
        }
        // Until a refresh is under way, or on a slow machine all of them are over.
        let leases = "select from oauth_tokens where lease_until > now()";
        while watcher.query(leases, &[]).await.expect("a look").is_empty() {
            if asking.try_join_next().is_none() && asking.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Steps that share no factor with the provider's delay hit every moment of a refresh.
        tokio::time::sleep(Duration::from_millis((number as u64 * 17) % 61)).await;
        process.kill();
        interrupted += count(&api, "oauth_tokens where lease_until > now()").await;
    }

    // Whoever is alive is refreshed twice more, with what was written down.
    for _ in 0..2 {
        execute(&api, DUE_AGAIN).await;
        let done = run(&api).await;
        assert_eq!((&done["failed"], &done["more"]), (&json!(0), &json!(false)));
    }
    every_dead_one_was_answered(&api, &ids).await;
    let saved = "select sum(version - 1)::text from oauth_tokens";
    let dead =
        "select string_agg(distinct status_reason, ' ') from oauth_tokens where status <> 'active'";
    let mut tally = Tally {
        kills,
        interrupted,
        saved: api
            .text(saved)
            .await
            .and_then(|sum| sum.parse().ok())
            .unwrap_or_default(),
        dead: BTreeMap::new(),
    };
    for reason in api.text(dead).await.unwrap_or_default().split_whitespace() {
        let of = format!("oauth_tokens where status <> 'active' and status_reason = '{reason}'");
        tally.dead.insert(reason.to_owned(), count(&api, &of).await);
    }
    tally
}

/// The refresh token that a dead connection holds was used before the attempt that was told
/// so: the provider had answered, and the answer is what was lost.
async fn every_dead_one_was_answered(api: &TestApi, ids: &[uuid::Uuid]) {
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for request in api.provider.requests() {
        if let Some(token) = request.parameter("refresh_token") {
            *asked.entry(token.to_owned()).or_default() += 1;
        }
    }
    for id in ids {
        let row = oauth_tokens::find_by_id(&api.app.store, ConnectionId(*id)).await;
        let row = row.expect("a statement").expect("the row");
        let place = row.key.place(Column::TokenData);
        let sealed = row.sealed.as_deref().expect("a token set");
        let plaintext = api
            .app
            .settings
            .keys
            .open(sealed, &place)
            .expect("it opens");
        let credentials = Credentials::from_plaintext(&plaintext).expect("it reads");
        let token = credentials.refresh_token.expect("a refresh token");
        let times = asked.get(token.expose()).copied().unwrap_or_default();
        match row.status {
            Status::Active => assert_eq!(times, 0, "{id} holds a token that was used"),
            _ => assert!(times >= 2, "{id} is dead and was asked {times} times"),
        }
    }
}

fn nothing_else_is_lost(tally: &Tally) {
    println!(
        "{} kills: {} refreshes interrupted, {} saved; connections lost, by reason: {:?}",
        tally.kills, tally.interrupted, tally.saved, tally.dead
    );
    assert!(tally.interrupted > 0, "every kill came too late");
    let others = tally
        .dead
        .keys()
        .find(|reason| *reason != "rotation_response_lost");
    assert_eq!(others, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf02_kills_lose_only_what_the_provider_had_answered() {
    nothing_else_is_lost(&kill(20).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: cargo xtask bench kills"]
async fn two_hundred_kills() {
    let kills = std::env::var("GRANTKEEP_BENCH_KILLS").ok();
    let kills = kills.and_then(|text| text.parse().ok()).unwrap_or(200);
    nothing_else_is_lost(&kill(kills).await);
}
