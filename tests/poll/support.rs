//! Mailboxes with watches, polls, and what they found.

use grantkeep_core::connection::{Column, ConnectionId, Owner, RowKey};
use grantkeep_core::credentials::Credentials;
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::secret::{AccessToken, RefreshToken};
use grantkeep_core::store::gmail_watches;
use grantkeep_core::store::oauth_tokens::write::{Granted, save_granted};
use grantkeep_demo_provider::Delivery;
use grantkeep_demo_provider::client::DEMO_CLIENT_ID;
use grantkeep_tests::api::CRON_SECRET;
use grantkeep_tests::{TestApi, database};
use serde_json::Value;

pub const POLL: &str = "/api/cron/poll";
/// The sender that the tests watch.
pub const ANN: &str = "ann@sender.example";
const READONLY: &str = "https://www.googleapis.com/auth/gmail.readonly";

/// One run of the worker; its counts.
pub async fn poll(api: &TestApi) -> Value {
    let reply = api.get_as(CRON_SECRET, POLL).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()
}

/// A run in which every mailbox is due.
pub async fn poll_again(api: &TestApi) -> Value {
    make_due(api).await;
    poll(api).await
}

/// Lets every mailbox that nobody polls be due now.
pub async fn make_due(api: &TestApi) {
    execute(
        api,
        "update gmail_mailboxes set poll_at = now() where lease_id is null",
    )
    .await;
}

/// The e-mail address of a numbered demo account.
pub fn user(number: u32) -> String {
    format!("user{number}@example.test")
}

/// A connection of a demo account, as if its user had consented: the account is also the actor.
pub async fn connected(api: &TestApi, account: &str) -> ConnectionId {
    let id = ConnectionId(api.app.new_id());
    consent(api, account, id).await;
    id
}

/// Consent of a demo account for the connection of this id, whether or not it is there.
pub async fn consent(api: &TestApi, account: &str, id: ConnectionId) {
    let tokens = api
        .provider
        .issue(account, DEMO_CLIENT_ID, READONLY)
        .expect("an account");
    let credentials = Credentials {
        access_token: AccessToken::new(&tokens.access_token),
        refresh_token: Some(RefreshToken::new(&tokens.refresh_token)),
        lifetime: Some(3600),
        metadata: Default::default(),
    };
    let key = RowKey {
        id,
        provider: "gmail".to_owned(),
        owner: Owner::new(None, Some(account)).expect("names"),
        account: account.to_owned(),
    };
    let scopes = ScopeSet::parse(READONLY);
    let keys = &api.app.settings.keys;
    let place = key.place(Column::TokenData);
    let granted = Granted {
        key: &key,
        subject: None,
        client_id: DEMO_CLIENT_ID,
        scopes: &scopes,
        requested_scopes: &scopes,
        missing_scopes: &ScopeSet::default(),
        scopes_assumed: false,
        expires_in: Some(3600.0),
        refresh_expires_in: None,
        sealed: &keys.seal(&credentials.to_plaintext(), &place, api.app.fill),
        key_id: keys.primary_id().to_string(),
        warning: None,
    };
    assert!(save_granted(&api.app.store, &granted).await.expect("saved"));
}

/// A connection of a demo account that watches for what Ann writes.
pub async fn watched(api: &TestApi, account: &str) -> ConnectionId {
    let connection = connected(api, account).await;
    watch(api, connection, &format!("from:\"{ANN}\"")).await;
    connection
}

/// Watches a mailbox.
pub async fn watch(api: &TestApi, connection: ConnectionId, query: &str) {
    let id = api.app.new_id();
    let done = gmail_watches::insert(&api.app.store, id, connection, query, 20).await;
    assert!(done.expect("saved"));
}

/// Puts a message into a mailbox; its id.
pub fn deliver(api: &TestApi, account: &str, from: &str, subject: &str) -> String {
    let delivery = Delivery {
        account: account.to_owned(),
        from: from.to_owned(),
        subject: subject.to_owned(),
        text: format!("{subject}, and a text"),
        ..Delivery::default()
    };
    let mut ids = api.provider.deliver(&[delivery]).expect("an account");
    ids.remove(0)
}

/// The subjects that are stored, sorted; one that is stored twice appears twice.
pub async fn subjects(api: &TestApi) -> Vec<String> {
    let sql = "select subject from email_messages order by subject";
    let rows = database::query(&api.database_url, sql, &[]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

/// How many messages are stored.
pub async fn stored(api: &TestApi) -> i64 {
    let sql = "select count(*) from email_messages";
    database::query(&api.database_url, sql, &[]).await[0].get(0)
}

/// The state of the only mailbox: error, failures, seconds until it is due.
pub async fn state(api: &TestApi) -> (Option<String>, i32, f64) {
    let sql = "select error, failures, extract(epoch from poll_at - now())::float8
                 from gmail_mailboxes";
    let rows = database::query(&api.database_url, sql, &[]).await;
    (rows[0].get(0), rows[0].get(1), rows[0].get(2))
}

/// How often a method of the mail API was called.
pub fn calls(api: &TestApi, method: &str) -> usize {
    api.provider.calls_of(&format!("gmail.users.{method}"))
}

/// A statement, or several.
pub async fn execute(api: &TestApi, sql: &str) {
    database::execute(&api.database_url, sql).await;
}
