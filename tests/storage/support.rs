//! Short words for what these tests do again and again.

use std::time::{Duration, Instant};

use grantkeep_tests::api::session;
use grantkeep_tests::{Consent, Reply, TestApi};
use serde_json::Value;

/// The path that reads the default connection's token at `gmail`.
pub const GMAIL: &str = "/api/token?provider=gmail";

/// Connects the default account for any owner.
pub async fn connect_as(api: &TestApi, provider: &str, workspace: &str, actor: &str) {
    connect_account_as(api, provider, workspace, actor, &Consent::default()).await;
}

/// Connects an account for any owner.
pub async fn connect_account_as(
    api: &TestApi,
    provider: &str,
    workspace: &str,
    actor: &str,
    consent: &Consent,
) {
    let session = session(workspace, actor);
    let path = format!("/api/oauth/{provider}/authorize?session={session}");
    let done = api.visitor().connect(&path, consent).await;
    assert_eq!(
        done.location_parameter("connection").as_deref(),
        Some("connected"),
        "{}",
        done.text
    );
}

/// The access token of an answer that has to be one.
#[track_caller]
pub fn access_token(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text);
    text(&reply.json()["access_token"])
}

/// The refresh token behind the default connection, as a key that may export sees it.
pub async fn refresh_token(api: &TestApi, provider: &str) -> String {
    let reply = api
        .get(&format!(
            "/api/token?provider={provider}&format=authorized_user"
        ))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    text(&reply.json()["refresh_token"])
}

/// A member that has to be a text.
#[track_caller]
pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
        .to_owned()
}

/// Status and code of a refusal.
pub fn refusal(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

/// Waits for something that another task or process does.
#[track_caller]
pub fn until<F: AsyncFnMut() -> bool>(mut holds: F) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let started = Instant::now();
        while !holds().await {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{caller}: waited in vain"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// How many events of a kind there are.
pub async fn events(api: &TestApi, kind: &str) -> u64 {
    let sql = format!("select count(*)::text from connection_events where type = '{kind}'");
    api.text(&sql)
        .await
        .and_then(|count| count.parse().ok())
        .unwrap_or_default()
}
