//! Fixtures with tokens that the demo provider really issued.

use grantkeep_demo_provider::client::DEMO_CLIENT_ID;
use grantkeep_tests::{Reply, TestApi, database};
use serde_json::{Value, json};

pub const READONLY: &str = "https://www.googleapis.com/auth/gmail.readonly";
pub const LABELS: &str = "https://www.googleapis.com/auth/gmail.labels";
pub const ALICE: &str = "alice@example.test";

/// The text of a fixture.
pub fn fixture(name: &str) -> String {
    let path = format!("{}/import/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Tokens of a live grant of Alice's at the demo provider.
pub struct Live {
    pub access: String,
    pub refresh: String,
}

/// Lets Alice grant these scopes, as some other system would have asked her to.
pub fn live(api: &TestApi, scope: &str) -> Live {
    let issued = api
        .provider
        .issue(ALICE, DEMO_CLIENT_ID, scope)
        .expect("an account of the demo provider");
    Live {
        access: issued.access_token,
        refresh: issued.refresh_token,
    }
}

/// A fixture as it would be with a live grant's tokens and the configured client in it.
pub fn filled(name: &str, live: &Live) -> String {
    fixture(name)
        .replace("SYNTHETIC-access", &live.access)
        .replace("SYNTHETIC-refresh", &live.refresh)
        .replace(
            "000000000000-synthetic.apps.googleusercontent.com",
            DEMO_CLIENT_ID,
        )
}

/// A file of google-auth with a live grant's tokens.
pub fn google_auth(live: &Live) -> Value {
    serde_json::from_str(&filled("google_auth_to_json_2.62.json", live)).expect("JSON")
}

/// Imports a body, with `gmail` as provider where it names none.
pub async fn import(api: &TestApi, mut body: Value) -> Reply {
    let members = body.as_object_mut().expect("an object");
    members.entry("provider").or_insert(json!("gmail"));
    api.send_json("POST", "/api/connections", &body).await
}

/// How many rows a table has.
pub async fn count(api: &TestApi, table: &str) -> i64 {
    let sql = format!("select count(*) from {table}");
    database::query(&api.database_url, &sql, &[]).await[0].get(0)
}
