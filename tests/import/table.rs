//! `grantkeep import-table`: the four shapes of earlier tables, under their own and under our
//! name, stopped in the middle, and undone.

use grantkeep_tests::api::ENCRYPTION_KEY;
use grantkeep_tests::command::{Ran, grantkeep, prepared};
use grantkeep_tests::{TestApi, database};
use serde_json::{Value, json};

use crate::api::fernet;
use crate::support::{ALICE, READONLY, count, google_auth, live};

async fn import(api: &TestApi, arguments: &[&str]) -> Ran {
    let all = [&["import-table", "--json"], arguments].concat();
    grantkeep(&api.variables, &all).await
}

async fn sql(api: &TestApi, statements: &str) {
    database::execute(&api.database_url, statements).await;
}

/// Every row of a table, as JSON text.
async fn dump(api: &TestApi, table: &str) -> Vec<String> {
    let sql = format!("select to_jsonb(t)::text from {table} t order by 1");
    let rows = database::query(&api.database_url, &sql, &[]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

async fn blobs(api: &TestApi) {
    let blob = google_auth(&live(api, READONLY));
    sql(
        api,
        &format!(
            "create table oauth_tokens (provider varchar(64) primary key, token_json json not null,
                 updated_at timestamp default now());
             create index oauth_tokens_by_owner on oauth_tokens (updated_at);
             insert into oauth_tokens values
                 ('gmail', '{blob}'), ('google_calendar', '{blob}'), ('broken', '{{}}')"
        ),
    )
    .await;
}

#[tokio::test]
async fn a_table_of_blobs_under_our_name_is_moved_aside_and_imported() {
    let api = TestApi::start().await;
    blobs(&api).await;
    let before = dump(&api, "oauth_tokens").await;

    let dry = import(&api, &["--dry-run"]).await;
    assert_eq!(
        (dry.code, &dry.json()["imported"]),
        (1, &json!(2)),
        "{dry:?}"
    );
    assert_eq!(
        dry.json()["moved"][0]["to"],
        "oauth_tokens_before_grantkeep"
    );
    assert_eq!(dump(&api, "oauth_tokens").await, before);
    let unsaid = import(&api, &[]).await;
    assert_eq!(unsaid.code, 2, "a rename is asked for: {unsaid:?}");

    let ran = import(&api, &["--yes"]).await;

    let report = ran.json();
    assert_eq!((ran.code, &report["imported"]), (1, &json!(2)), "{ran:?}");
    assert_eq!(report["rows"][0]["row"], "broken");
    assert_eq!(dump(&api, "oauth_tokens_before_grantkeep").await, before);
    for provider in ["gmail", "google_calendar"] {
        let token = api.token(provider).await;
        assert_eq!(token.status, 200, "{}", token.text);
    }
    assert!(!ran.stdout.contains("SYNTHETIC") && !ran.stdout.contains("1//"));
}

#[tokio::test]
async fn jsonb_by_provider_and_account_keeps_its_accounts_and_expiries() {
    let api = TestApi::start().await;
    let live = live(&api, READONLY);
    sql(
        &api,
        &format!(
            "create table oauth_tokens (
                 id serial primary key, provider varchar(50) not null, account varchar(255) not null,
                 token_data jsonb not null, expires_at timestamptz,
                 created_at timestamptz default '2025-03-01', updated_at timestamptz default now(),
                 constraint uq_provider_account unique (provider, account));
             insert into oauth_tokens (provider, account, token_data, expires_at) values
                 ('gmail', 'marcus', '{}', now() + interval '50 minutes')",
            json!({"access_token": live.access, "refresh_token": live.refresh})
        ),
    )
    .await;

    let ran = import(&api, &["--yes"]).await;

    assert_eq!(ran.code, 0, "{ran:?}");
    let token = api
        .get("/api/token?provider=gmail&account=marcus")
        .await
        .json();
    assert_eq!(token["access_token"], live.access);
    assert!(
        token["expires_in"]
            .as_i64()
            .is_some_and(|left| (2900..=3000).contains(&left))
    );
    assert_eq!(api.provider.token_requests(), 0);
    let created = api
        .text("select created_at::date::text from oauth_tokens")
        .await;
    assert_eq!(created.as_deref(), Some("2025-03-01"));
}

#[tokio::test]
async fn fernet_columns_by_workspace_and_actor_are_opened_and_sealed_anew() {
    let api = TestApi::start().await;
    let live = live(&api, READONLY);
    let workspace = "8f14e45f-ceea-467f-9575-0d1a2f6f1a11";
    sql(
        &api,
        &format!(
            "create table oauth_tokens (
                 id uuid primary key, provider varchar(50) not null, workspace_id uuid not null,
                 actor_id varchar(255) not null, access_token_encrypted text not null,
                 refresh_token_encrypted text, expires_at timestamp not null, scope text,
                 created_at timestamp default now(), updated_at timestamp default now(),
                 unique (provider, workspace_id, actor_id));
             create index idx_oauth_tokens_expiry on oauth_tokens (expires_at);
             insert into oauth_tokens values
                 (gen_random_uuid(), 'google', '{workspace}', 'user_456', '{}', '{}',
                  '2026-01-02 03:04:05', '{READONLY}'),
                 (gen_random_uuid(), 'google', '{workspace}', 'user_457', 'gAAAAbroken', null,
                  '2026-01-02 03:04:05', null)",
            fernet(ENCRYPTION_KEY, &live.access),
            fernet(ENCRYPTION_KEY, &live.refresh),
        ),
    )
    .await;

    let ran = import(&api, &["--yes", "--map-provider", "google=gmail"]).await;

    let report = ran.json();
    assert_eq!(
        (ran.code, &report["imported"], &report["skipped"]),
        (1, &json!(1), &json!(1)),
        "{ran:?}"
    );
    let reason = report["rows"][0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("OAUTH_ENCRYPTION_KEY"), "{reason}");
    let path = format!("/api/token?provider=gmail&workspace={workspace}&actor=user_456");
    let token = api.get(&path).await;
    assert_eq!(token.status, 200, "{}", token.text);
    let left = api
        .text("select string_agg(token_data::text, '') from oauth_tokens")
        .await;
    assert!(left.is_some_and(|text| !text.contains(&live.refresh)));
}

/// Users, their refresh tokens and their messages, under three of our names.
async fn users(api: &TestApi) {
    let live = live(api, READONLY);
    sql(
        api,
        &format!(
            "create table users (id serial primary key, email varchar(255) unique not null,
                 created_at timestamptz not null default now());
             create table oauth_tokens (
                 id serial primary key,
                 user_id integer not null references users (id) on delete cascade,
                 refresh_token text not null, token_scope text not null,
                 granted_at timestamptz not null default now(), expires_at timestamptz,
                 last_refreshed timestamptz);
             create index ix_oauth_tokens_user_id on oauth_tokens (user_id);
             create table email_messages (id serial primary key,
                 user_id integer not null references users (id), message_id text not null,
                 unique (user_id, message_id));
             insert into users (email) values ('{ALICE}'), ('other@example.test');
             insert into oauth_tokens (user_id, refresh_token, token_scope) values
                 (1, '1//outdated', '{READONLY}'), (1, '{}', '{READONLY}');
             insert into email_messages (user_id, message_id) values (1, 'm1')",
            live.refresh
        ),
    )
    .await;
}

#[tokio::test]
async fn users_refresh_tokens_become_connections_of_users_with_the_newest_token() {
    let api = TestApi::start().await;
    users(&api).await;

    let ran = import(&api, &["--yes", "--provider", "gmail"]).await;

    let report = ran.json();
    assert_eq!(
        (&report["imported"], &report["rows"][0]["row"]),
        (&json!(1), &json!("1")),
        "{ran:?}"
    );
    let token = api.get("/api/token?provider=gmail&actor=1").await;
    assert_eq!(token.status, 200, "{}", token.text);
    assert_eq!(token.json()["account"], ALICE);
    // What was in the way is whole, under another name.
    assert_eq!(count(&api, "users_before_grantkeep").await, 2);
    assert_eq!(count(&api, "email_messages_before_grantkeep").await, 1);
    assert_eq!(count(&api, "users").await, 0);
}

#[tokio::test]
async fn an_undo_gives_everything_its_name_back_and_the_next_import_goes_on() {
    let api = TestApi::start().await;
    users(&api).await;
    let schema = "select string_agg(indexname || ' ' || tablename, ',' order by indexname)
                    from pg_indexes where schemaname = 'public'";
    let (before, indexes) = (dump(&api, "oauth_tokens").await, api.text(schema).await);
    let first = import(&api, &["--yes", "--provider", "gmail"]).await.json();
    assert_eq!(first["imported"], 1);
    let id = api.text("select id::text from oauth_tokens").await;

    let undone = import(&api, &["--undo", "--yes"]).await;
    assert_eq!(undone.code, 0, "{undone:?}");
    assert_eq!(dump(&api, "oauth_tokens").await, before);
    let ours = "select string_agg(indexname || ' ' || tablename, ',' order by indexname)
                  from pg_indexes where schemaname = 'public'
                   and tablename in ('users', 'oauth_tokens', 'email_messages')";
    assert_eq!(api.text(ours).await, indexes);
    // The application goes on with its own table meanwhile.
    sql(
        &api,
        "insert into oauth_tokens (user_id, refresh_token, token_scope) values (2, '1//b', 'x')",
    )
    .await;

    let again = import(&api, &["--yes", "--provider", "gmail"]).await.json();

    assert_eq!(
        (&again["imported"], &again["imported_before"]),
        (&json!(1), &json!(1)),
        "{again}"
    );
    let kept = api
        .text("select id::text from oauth_tokens where actor_id = '1'")
        .await;
    assert_eq!(kept, id);
    assert_eq!(
        api.get("/api/token?provider=gmail&actor=1").await.status,
        200
    );
}

#[tokio::test]
async fn an_undo_with_newer_connections_is_refused_unless_it_is_forced() {
    let api = TestApi::start().await;
    blobs(&api).await;
    import(&api, &["--yes"]).await;
    api.connect("outlook").await;

    let refused = import(&api, &["--undo", "--yes"]).await;
    let forced = import(&api, &["--undo", "--yes", "--force"]).await;
    let nothing = import(&api, &["--undo", "--yes"]).await;

    assert_eq!(
        (refused.code, forced.code, nothing.code),
        (1, 0, 1),
        "{refused:?} {forced:?}"
    );
    assert!(refused.stdout.contains("1 connections"), "{refused:?}");
    let back = import(&api, &["--yes"]).await.json();
    assert_eq!(
        (&back["imported"], &back["imported_before"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(api.token("outlook").await.status, 200, "nothing was lost");
}

#[tokio::test]
async fn a_table_of_another_name_or_schema_is_left_where_it_is() {
    let api = TestApi::start().await;
    let blob = google_auth(&live(&api, READONLY));
    sql(
        &api,
        &format!(
            "create schema legacy;
             create table legacy.\"Token Store\" (provider text primary key, credentials text);
             insert into legacy.\"Token Store\" values ('gmail', '{blob}')"
        ),
    )
    .await;

    let ran = import(&api, &["legacy.\"Token Store\""]).await;
    let again = import(&api, &["legacy.\"Token Store\""]).await;
    let ours = import(&api, &["oauth_tokens"]).await;

    assert_eq!((ran.code, &ran.json()["moved"]), (0, &json!([])), "{ran:?}");
    assert_eq!(again.json()["imported_before"], 1);
    assert_eq!(ours.code, 1, "{ours:?}");
    assert_eq!(count(&api, "legacy.\"Token Store\"").await, 1);
    assert_eq!(api.token("gmail").await.status, 200);
}

#[tokio::test]
async fn a_table_of_another_database_is_read_from_there() {
    let api = TestApi::start().await;
    let other = database::create().await;
    let blob = google_auth(&live(&api, READONLY));
    database::execute(
        &other,
        &format!(
            "create table oauth_tokens (provider text primary key, token_data jsonb);
             insert into oauth_tokens values ('gmail', '{blob}')"
        ),
    )
    .await;
    let mut variables = api.variables.clone();
    variables.insert("OLD_DATABASE_URL".to_owned(), other.clone());

    let arguments = ["import-table", "--from-env", "OLD_DATABASE_URL", "--json"];
    let ran = grantkeep(&variables, &arguments).await;

    assert_eq!(
        (ran.code, &ran.json()["imported"]),
        (0, &json!(1)),
        "{ran:?}"
    );
    assert_eq!(api.token("gmail").await.status, 200);
    assert!(
        database::query(&other, "select 1 from oauth_tokens", &[])
            .await
            .len()
            == 1
    );
}

#[tokio::test]
async fn killed_at_any_moment_it_goes_on_and_imports_each_row_once() {
    const ROWS: i64 = 3000;
    let api = TestApi::start().await;
    sql(
        &api,
        &format!(
            "create table oauth_tokens (id serial primary key, provider text, account text,
                 token_data jsonb);
             insert into oauth_tokens (provider, account, token_data)
             select 'gmail', 'user' || n || '@example.test',
                    jsonb_build_object('access_token', 'a' || n, 'refresh_token', 'r' || n)
               from generate_series(1, {ROWS}) n"
        ),
    )
    .await;
    let arguments = ["import-table", "--yes", "--batch", "50"];
    let mut rounds = 0;
    loop {
        let mut child = prepared(&api.variables, &arguments)
            .await
            .spawn()
            .expect("it starts");
        let pause = std::time::Duration::from_millis(60 + 37 * (rounds % 9));
        let ended = tokio::time::timeout(pause, child.wait()).await;
        match ended {
            Ok(status) => {
                let output = child.wait_with_output().await.expect("output");
                assert!(status.expect("it ends").success(), "{output:?}");
                break;
            }
            Err(_) => child.kill().await.expect("killed"),
        }
        rounds += 1;
        assert!(rounds < 300, "it never gets further");
    }

    assert!(rounds > 2, "it was never killed");
    assert_eq!(count(&api, "oauth_tokens").await, ROWS);
    assert_eq!(count(&api, "grantkeep_table_imports").await, ROWS);
    assert_eq!(count(&api, "connection_events").await, ROWS);
    assert_eq!(count(&api, "oauth_tokens_before_grantkeep").await, ROWS);
    let done: Value = import(&api, &[]).await.json();
    assert_eq!(
        (&done["imported"], &done["imported_before"]),
        (&json!(0), &json!(ROWS))
    );
}
