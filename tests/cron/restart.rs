//! The database goes away in the middle of a run.

use std::time::Duration;

use grantkeep_demo_provider::RefreshTokens;
use grantkeep_devpg::Postgres;
use grantkeep_tests::TestApi;
use grantkeep_tests::api::CRON_SECRET;
use grantkeep_tests::bulk::{self, DUE};
use serde_json::json;

use crate::support::{REFRESH, count, execute, run};

const CONNECTIONS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_restarts_in_the_middle_of_a_run_ends_no_connection() {
    let mut server = Postgres::start(&mut |_| {}).expect("a Postgres server");
    let api = TestApi::builder()
        .variable("DATABASE_URL", &server.url())
        .provider("gmail", json!({"refresh_tokens": "single_use"}))
        .start()
        .await;
    api.provider.update(|knobs| {
        knobs.refresh_tokens = RefreshTokens::SingleUse;
        knobs.delay_ms = 40;
    });
    bulk::connections(&api.app, &api.provider, DUE, CONNECTIONS).await;

    let (interrupted, ()) = tokio::join!(api.get_as(CRON_SECRET, REFRESH), async {
        while api.provider.refresh_requests() < 40 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::task::block_in_place(|| server.restart()).expect("restarts");
    });

    // Whatever the run said, what it got from the provider is not lost.
    assert!(
        [200, 503].contains(&interrupted.status),
        "{}",
        interrupted.text
    );
    execute(
        &api,
        "update oauth_tokens set lease_id = null, lease_until = null, retry_at = null
          where version = 1",
    )
    .await;
    run(&api).await;
    let well = "oauth_tokens where status = 'active' and version >= 2";
    assert_eq!(count(&api, well).await, CONNECTIONS as u64);
}
