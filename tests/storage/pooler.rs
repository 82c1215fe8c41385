//! Everything works through a transaction pooler whose server connections are swapped
//! under its clients.

use grantkeep_tests::api::session;
use grantkeep_tests::instance::{Process, get};
use grantkeep_tests::pgbouncer::PgBouncer;
use grantkeep_tests::{TestApi, database};

use crate::support::{GMAIL, access_token, connect_as, refusal, text};

/// Few enough that everybody shares, more than one so that they can be swapped.
const SERVER_CONNECTIONS: u16 = 3;

async fn pgbouncer() -> PgBouncer {
    tokio::task::spawn_blocking(|| PgBouncer::start(database::server().port(), SERVER_CONNECTIONS))
        .await
        .expect("PgBouncer")
}

#[tokio::test(flavor = "multi_thread")]
async fn db05_the_whole_flow_works_through_a_transaction_pooler() {
    let bouncer = pgbouncer().await;
    let direct = database::create().await;
    let mut api = TestApi::builder()
        .variable("DATABASE_URL", &bouncer.url(&direct))
        .start()
        .await;
    api.database_url = direct.clone();
    let churn = bouncer.churn(&direct, 8);

    api.connect("gmail").await;
    connect_as(&api, "gmail", "default", "other").await;
    let before = access_token(&api.token("gmail").await);
    let mut reading = Vec::new();
    for number in 0..200 {
        let origin = api.origin.clone();
        let actor = ["default", "other"][number % 2];
        reading.push(tokio::spawn(async move {
            get(&origin, &format!("{GMAIL}&actor={actor}")).await
        }));
    }
    for one in reading {
        access_token(&one.await.expect("an answer"));
    }
    for _ in 0..5 {
        api.set_expiry("gmail", -1).await;
        access_token(&api.token("gmail").await);
        access_token(&get(&api.origin, &format!("{GMAIL}&actor=other")).await);
    }
    let after = api.token("gmail").await;
    let list = api.get("/api/connections").await;
    let id = text(&after.json()["connection_id"]);
    let gone = api.delete(&format!("/api/connections/{id}")).await;

    assert_ne!(access_token(&after), before);
    assert_eq!(list.json()["connections"].as_array().map(Vec::len), Some(2));
    assert_eq!(gone.json()["deleted"], true, "{}", gone.text);
    assert_eq!(refusal(&api.token("gmail").await).0, 404);
    assert!(churn.goes_on());
}

#[tokio::test(flavor = "multi_thread")]
async fn rf01_many_processes_behind_a_transaction_pooler_cause_one_refresh() {
    let bouncer = pgbouncer().await;
    let direct = database::create().await;
    let mut api = TestApi::builder()
        .variable("DATABASE_URL", &bouncer.url(&direct))
        .start()
        .await;
    api.database_url = direct.clone();
    api.connect("gmail").await;
    let before = access_token(&api.token("gmail").await);
    let processes = Process::start_many(3, "token", &api.variables).await;
    let churn = bouncer.churn(&direct, 4);
    api.provider.update(|knobs| knobs.delay_ms = 500);
    api.set_expiry("gmail", -1).await;

    let mut reading = Vec::new();
    for number in 0..60 {
        let origin = processes[number % 3].origin.clone();
        reading.push(tokio::spawn(async move { get(&origin, GMAIL).await }));
    }

    let mut tokens = Vec::new();
    for one in reading {
        tokens.push(access_token(&one.await.expect("an answer")));
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_ne!(tokens[0], before);
    assert_eq!(api.provider.refresh_requests(), 1);
    assert!(churn.goes_on());
}

#[tokio::test(flavor = "multi_thread")]
async fn db05_several_instances_create_the_schema_through_a_transaction_pooler() {
    let bouncer = pgbouncer().await;
    let direct = database::create().await;
    let mut api = TestApi::builder()
        .variable("DATABASE_URL", &bouncer.url(&direct))
        .start()
        .await;
    api.database_url = direct.clone();
    let processes = Process::start_many(8, "authorize", &api.variables).await;
    let churn = bouncer.churn(&direct, 4);

    let mut begun = Vec::new();
    for process in &processes {
        let session = session("default", "default");
        let path = format!("/api/oauth/gmail/authorize?session={session}");
        let origin = process.origin.clone();
        begun.push(tokio::spawn(async move { get(&origin, &path).await }));
    }

    for one in begun {
        let reply = one.await.expect("an answer");
        assert_eq!(reply.status, 302, "{}", reply.text);
    }
    let count = "select count(*)::text from pending_authorizations";
    assert_eq!(api.text(count).await.as_deref(), Some("8"));
    assert!(churn.goes_on());
}

/// Without this, the tests above could pass because nothing was swapped.
#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_do_break_through_this_pooler() {
    let bouncer = pgbouncer().await;
    let direct = database::create().await;
    let _churn = bouncer.churn(&direct, 8);
    let client = database::connect(&bouncer.url(&direct)).await;

    let mut broken = 0;
    for _ in 0..50 {
        broken += usize::from(client.query("select 1::int4", &[]).await.is_err());
    }

    assert!(broken > 0, "no statement met another server connection");
}
