//! Short words for what these tests do again and again.

use grantkeep_tests::api::CRON_SECRET;
use grantkeep_tests::{TestApi, database};
use serde_json::Value;

pub const REFRESH: &str = "/api/cron/refresh";

/// One run of the job; its counts.
pub async fn run(api: &TestApi) -> Value {
    let reply = api.get_as(CRON_SECRET, REFRESH).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()
}

/// How many rows a query counts.
pub async fn count(api: &TestApi, from: &str) -> u64 {
    let sql = format!("select count(*)::text from {from}");
    let text = api.text(&sql).await.expect("a count");
    text.parse().expect("a number")
}

/// A statement, or several.
pub async fn execute(api: &TestApi, sql: &str) {
    database::execute(&api.database_url, sql).await;
}
