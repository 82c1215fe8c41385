//! The tables: made by whoever writes first, by many at once, and by nobody who may not.

use grantkeep_core::store::schema::MIGRATIONS;
use grantkeep_tests::api::session;
use grantkeep_tests::instance::{Process, get};
use grantkeep_tests::wire::Wire;
use grantkeep_tests::{Reply, TestApi, database};

use crate::support::{GMAIL, access_token, refusal, text};

const TABLES: &str = "select coalesce(string_agg(tablename, ' ' order by tablename), '')
                        from pg_tables where schemaname = 'public'";

/// Begins a flow, which writes.
async fn begin(origin: &str) -> Reply {
    let session = session("default", "default");
    get(
        origin,
        &format!("/api/oauth/gmail/authorize?session={session}"),
    )
    .await
}

/// The same database as a role that may read and write rows, and create nothing.
async fn as_plain_role(url: &str) -> String {
    let database = url.rsplit('/').next().expect("a database");
    let role = format!("plain_{database}");
    let sql = format!(
        "revoke create on schema public from public;
         create role {role} login;
         grant select, insert, update, delete on all tables in schema public to {role};"
    );
    database::execute(url, &sql).await;
    url.replace("postgres@", &format!("{role}@"))
}

#[tokio::test(flavor = "multi_thread")]
async fn db05_twenty_processes_at_once_on_an_empty_database_all_succeed() {
    let api = TestApi::start().await;
    let processes = Process::start_many(20, "authorize", &api.variables).await;
    assert_eq!(api.text(TABLES).await.as_deref(), Some(""));

    let mut begun = Vec::new();
    for process in &processes {
        let origin = process.origin.clone();
        begun.push(tokio::spawn(async move { begin(&origin).await }));
    }

    for one in begun {
        let reply = one.await.expect("an answer");
        assert_eq!(reply.status, 302, "{}", reply.text);
    }
    let count = "select count(*)::text from pending_authorizations";
    assert_eq!(api.text(count).await.as_deref(), Some("20"));
    let applied = "select count(*)::text || ' ' || count(distinct name) from grantkeep_migrations";
    let each_once = format!("{0} {0}", MIGRATIONS.len());
    assert_eq!(api.text(applied).await, Some(each_once));
    let locks = "select count(*)::text from pg_locks where locktype = 'advisory'
                    and database = (select oid from pg_database where datname = current_database())";
    assert_eq!(api.text(locks).await.as_deref(), Some("0"));
}

#[tokio::test]
async fn db05_reads_of_an_empty_database_find_nothing_and_create_nothing() {
    let api = TestApi::start().await;

    let token = api.token("gmail").await;
    let list = api.get("/api/connections").await;
    let one = api
        .get("/api/connections/00000000-0000-4000-8000-000000000000")
        .await;
    let health = api.get("/api/health").await;

    assert_eq!(refusal(&token), (404, "not_connected".to_owned()));
    assert_eq!(list.json()["connections"], serde_json::json!([]));
    assert_eq!(refusal(&one), (404, "not_connected".to_owned()));
    assert_eq!(health.status, 200, "{}", health.text);
    assert_eq!(api.text(TABLES).await.as_deref(), Some(""));
}

#[tokio::test]
async fn db05_nothing_is_asked_of_a_warm_database_for_the_schemas_sake() {
    let database_url = database::create().await;
    let wire = Wire::before(&database_url).await;
    let mut api = TestApi::builder()
        .variable("DATABASE_URL", &wire.url)
        .start()
        .await;
    api.database_url = database_url;
    api.connect("gmail").await;
    access_token(&api.token("gmail").await);
    wire.round_trips();

    assert_eq!(begin(&api.origin).await.status, 302);
    assert_eq!(wire.round_trips(), 2, "what is granted, then the record");

    access_token(&api.token("gmail").await);
    assert_eq!(wire.round_trips(), 1, "reading a fresh token");

    api.set_expiry("gmail", -1).await;
    access_token(&api.token("gmail").await);
    assert_eq!(wire.round_trips(), 3, "read, claim, save");
}

#[tokio::test]
async fn db05_a_role_without_ddl_rights_works_on_migrated_tables() {
    let migrated = TestApi::start().await;
    assert_eq!(begin(&migrated.origin).await.status, 302);
    let url = as_plain_role(&migrated.database_url).await;
    let api = TestApi::builder()
        .variable("DATABASE_URL", &url)
        .start()
        .await;

    api.connect("gmail").await;
    let before = api.token("gmail").await;
    api.set_expiry("gmail", -1).await;
    let after = api.token("gmail").await;
    let id = text(&after.json()["connection_id"]);
    let gone = api.delete(&format!("/api/connections/{id}")).await;

    assert_ne!(access_token(&after), access_token(&before));
    assert_eq!(gone.json()["deleted"], true);
}

#[tokio::test]
async fn db05_a_role_without_ddl_rights_is_told_what_to_do_on_an_empty_database() {
    let empty = TestApi::start().await;
    let url = as_plain_role(&empty.database_url).await;
    let api = TestApi::builder()
        .variable("DATABASE_URL", &url)
        .start()
        .await;

    let written = begin(&api.origin).await;
    let read = api.token("gmail").await;

    assert_eq!(refusal(&written), (500, "misconfigured".to_owned()));
    let detail = text(&written.json()["detail"]);
    assert!(
        detail.contains("DATABASE_URL") && detail.contains("with a role that may"),
        "{detail}"
    );
    assert_eq!(refusal(&read), (404, "not_connected".to_owned()));
    assert_eq!(empty.text(TABLES).await.as_deref(), Some(""));
}

#[tokio::test]
async fn db05_a_table_of_another_application_is_left_alone_and_named() {
    let api = TestApi::start().await;
    let foreign = "create table oauth_tokens (provider text primary key, token text);
                   insert into oauth_tokens values ('gmail', 'theirs')";
    database::execute(&api.database_url, foreign).await;

    let written = begin(&api.origin).await;
    let read = api.token("gmail").await;

    for reply in [&written, &read] {
        assert_eq!(refusal(reply), (500, "misconfigured".to_owned()));
        let detail = text(&reply.json()["detail"]);
        assert!(detail.contains("oauth_tokens"), "{detail}");
    }
    assert_eq!(api.text(TABLES).await.as_deref(), Some("oauth_tokens"));
    let theirs = "select provider || ' ' || token from oauth_tokens";
    assert_eq!(api.text(theirs).await.as_deref(), Some("gmail theirs"));
}

#[tokio::test]
async fn db05_a_migration_that_was_changed_after_it_was_applied_is_named() {
    let api = TestApi::start().await;
    assert_eq!(begin(&api.origin).await.status, 302);
    let change = "update grantkeep_migrations set checksum = repeat('0', 64);
                  drop table pending_authorizations";
    database::execute(&api.database_url, change).await;

    let reply = begin(&api.origin).await;

    assert_eq!(refusal(&reply), (500, "misconfigured".to_owned()));
    let detail = text(&reply.json()["detail"]);
    assert!(detail.contains("V1__oauth_tokens.sql"), "{detail}");
}

#[tokio::test]
async fn db05_an_older_binary_works_on_newer_tables() {
    let api = TestApi::start().await;
    assert_eq!(begin(&api.origin).await.status, 302);
    let newer = "alter table oauth_tokens add column colour text;
                 create table colours (id uuid primary key);
                 insert into grantkeep_migrations (version, name, checksum)
                 values (1000, 'V1000__colours.sql', repeat('1', 64))";
    database::execute(&api.database_url, newer).await;

    api.connect("gmail").await;
    api.set_expiry("gmail", -1).await;

    access_token(&get(&api.origin, GMAIL).await);
}
