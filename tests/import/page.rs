//! `docs/migrating.md`: its commands, run as they stand, on the systems that it speaks of.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use grantkeep_tests::api::ENCRYPTION_KEY;
use grantkeep_tests::command::prepared;
use grantkeep_tests::{TestApi, database};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::api::fernet;
use crate::support::{ALICE, READONLY, google_auth, live};

const PAGE: &str = include_str!("../../docs/migrating.md");

/// The `grantkeep` lines of a section's shell blocks.
fn commands(section: &str) -> Vec<&'static str> {
    let heading = format!("\n## {section}\n");
    let rest = PAGE.split_once(heading.as_str()).expect(section).1;
    let text = rest.split("\n## ").next().unwrap_or(rest);
    text.split("```sh\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().unwrap_or_default().lines())
        .filter(|line| line.contains("grantkeep "))
        .collect()
}

/// Runs them in a directory, each with `stdin` where it reads a pipe.
async fn run(
    api: &TestApi,
    more: &BTreeMap<String, String>,
    directory: &Path,
    section: &str,
    stdin: &str,
) {
    let lines = commands(section);
    assert!(!lines.is_empty(), "{section} has no command");
    for line in lines {
        let command = line.rsplit("| ").next().unwrap_or(line);
        let (command, file) = match command.split_once(" > ") {
            Some((command, file)) => (command, Some(file)),
            None => (command, None),
        };
        let mut words: Vec<&str> = command.split_whitespace().skip(1).collect();
        // Where a person would be asked.
        let asks = words[0] == "import-table" && !words.contains(&"--dry-run");
        if asks || words.contains(&"--reveal") {
            words.push("--yes");
        }
        let mut variables = api.variables.clone();
        variables.extend(more.clone());
        let mut child = prepared(&variables, &words)
            .await
            .current_dir(directory)
            .stdin(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        let _ = pipe.write_all(stdin.as_bytes()).await;
        drop(pipe);
        let output = child.wait_with_output().await.expect("it ends");
        assert!(output.status.success(), "{section}: {line}: {output:?}");
        if let Some(file) = file {
            std::fs::write(directory.join(file), &output.stdout).expect("written");
        }
    }
}

async fn with_table(sql: &str) -> TestApi {
    let api = TestApi::start().await;
    database::execute(&api.database_url, sql).await;
    api
}

#[tokio::test]
async fn files_and_volumes() {
    let api = TestApi::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("secrets")).expect("made");
    let file = google_auth(&live(&api, READONLY)).to_string();
    std::fs::write(directory.path().join("secrets/gmail_token.json"), &file).expect("written");
    let none = BTreeMap::new();

    run(&api, &none, directory.path(), "A token file on disk", "").await;
    run(
        &api,
        &none,
        directory.path(),
        "A token file in a Docker volume",
        &file,
    )
    .await;

    for path in [
        "/api/token?provider=gmail",
        "/api/token?provider=gmail&actor=alice",
        "/api/token?provider=google_calendar",
    ] {
        assert_eq!(api.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn tables_of_blobs_and_the_way_back() {
    let api = TestApi::start().await;
    let blob = google_auth(&live(&api, READONLY));
    let directory = tempfile::tempdir().expect("a directory");
    let none = BTreeMap::new();
    let table = "create table oauth_tokens (provider text primary key, token_json json)";
    database::execute(
        &api.database_url,
        &format!("{table}; insert into oauth_tokens values ('gmail', '{blob}')"),
    )
    .await;

    let section = "A table with one JSON blob for each provider";
    run(&api, &none, directory.path(), section, "").await;
    let user = api
        .get("/api/token?provider=gmail&format=authorized_user")
        .await;
    assert_eq!(user.json()["type"], "authorized_user", "{}", user.text);
    std::fs::create_dir(directory.path().join("exported")).expect("made");
    run(&api, &none, directory.path(), "Back again", "").await;

    let back = api.text("select provider from oauth_tokens").await;
    assert_eq!(back.as_deref(), Some("gmail"));
    let columns = "select count(*)::text from information_schema.columns
                    where table_schema = 'public' and table_name = 'oauth_tokens'";
    assert_eq!(api.text(columns).await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_table_by_provider_and_account() {
    let api = with_table(
        "create table oauth_tokens (id serial primary key, provider text, account text,
             token_data jsonb, expires_at timestamptz, unique (provider, account))",
    )
    .await;
    let live = live(&api, READONLY);
    let data = json!({"access_token": live.access, "refresh_token": live.refresh});
    let insert = format!(
        "insert into oauth_tokens (provider, account, token_data, expires_at)
         values ('gmail', 'marcus', '{data}', now() - interval '1 hour')"
    );
    database::execute(&api.database_url, &insert).await;

    let section = "A table by provider and account";
    run(&api, &BTreeMap::new(), Path::new("/"), section, "").await;

    let token = api.get("/api/token?provider=gmail&account=marcus").await;
    assert_eq!(token.status, 200, "{}", token.text);
}

#[tokio::test]
async fn fernet_columns() {
    let api = with_table(
        "create table oauth_tokens (id uuid primary key, provider text, workspace_id uuid,
             actor_id text, access_token_encrypted text, refresh_token_encrypted text,
             expires_at timestamp, scope text)",
    )
    .await;
    let live = live(&api, READONLY);
    let insert = format!(
        "insert into oauth_tokens values (gen_random_uuid(), 'google', gen_random_uuid(), 'u',
             '{}', '{}', '2026-01-02', '{READONLY}')",
        fernet(ENCRYPTION_KEY, &live.access),
        fernet(ENCRYPTION_KEY, &live.refresh)
    );
    database::execute(&api.database_url, &insert).await;

    run(
        &api,
        &BTreeMap::new(),
        Path::new("/"),
        "Fernet columns and Redis",
        "",
    )
    .await;

    let workspace = api.text("select workspace_id from oauth_tokens").await;
    let workspace = workspace.expect("a row");
    let path = format!("/api/token?provider=gmail&workspace={workspace}&actor=u");
    assert_eq!(api.get(&path).await.status, 200);
}

#[tokio::test]
async fn refresh_tokens_of_users() {
    let api = with_table(&format!(
        "create table users (id serial primary key, email text unique not null);
         create table oauth_tokens (id serial primary key, user_id integer references users (id),
             refresh_token text not null, token_scope text not null);
         insert into users (email) values ('{ALICE}')"
    ))
    .await;
    let insert = format!(
        "insert into oauth_tokens (user_id, refresh_token, token_scope) values (1, '{}', 'x')",
        live(&api, READONLY).refresh
    );
    database::execute(&api.database_url, &insert).await;

    let section = "Refresh tokens of users";
    run(&api, &BTreeMap::new(), Path::new("/"), section, "").await;

    let token = api.get("/api/token?provider=gmail&actor=1").await.json();
    assert_eq!(token["account"], ALICE);
}

#[tokio::test]
async fn a_schema_of_its_own_renames_nothing() {
    let api = TestApi::start().await;
    database::execute(
        &api.database_url,
        &format!(
            "create table users (id serial primary key, email text unique not null);
             create table oauth_tokens (id serial primary key, user_id integer,
                 refresh_token text not null, token_scope text not null);
             insert into users (email) values ('{ALICE}');
             insert into oauth_tokens (user_id, refresh_token, token_scope) values (1, '{}', 'x')",
            live(&api, READONLY).refresh
        ),
    )
    .await;
    let name = api
        .text("select current_database()::text")
        .await
        .expect("a name");
    let own = format!(
        "create role own_{name} login; create schema grantkeep authorization own_{name};
         alter role own_{name} set search_path = grantkeep;
         grant usage on schema public to own_{name};
         grant select on public.users, public.oauth_tokens to own_{name}"
    );
    database::execute(&api.database_url, &own).await;
    let mut variables = api.variables.clone();
    let url = api
        .database_url
        .replace("postgres@", &format!("own_{name}@"));
    assert_ne!(url, api.database_url);
    variables.insert("DATABASE_URL".to_owned(), url);

    let line = "import-table public.oauth_tokens --users public.users --provider gmail";
    assert!(PAGE.contains(line));
    let words: Vec<&str> = line.split_whitespace().collect();
    let output = prepared(&variables, &words)
        .await
        .output()
        .await
        .expect("it ends");

    assert!(output.status.success(), "{output:?}");
    let account = api.text("select account from grantkeep.oauth_tokens").await;
    assert_eq!(account.as_deref(), Some(ALICE));
    let earlier = api
        .text("select token_scope from public.oauth_tokens")
        .await;
    assert_eq!(earlier.as_deref(), Some("x"));
}

#[tokio::test]
async fn other_tables_and_databases() {
    let (api, other) = (TestApi::start().await, database::create().await);
    let live = live(&api, READONLY);
    database::execute(
        &other,
        &format!(
            "create table accounts (\"userId\" text, type text, provider text,
                 \"providerAccountId\" text, refresh_token text, access_token text,
                 expires_at bigint, scope text, primary key (provider, \"providerAccountId\"));
             insert into accounts values ('u1', 'oauth', 'google', '1000', '{}', '{}', 1767323045,
                 '{READONLY}')",
            live.refresh, live.access
        ),
    )
    .await;
    let more = BTreeMap::from([("OLD_DATABASE_URL".to_owned(), other)]);

    run(&api, &more, Path::new("/"), "Other tables", "").await;

    let token = api.get("/api/token?provider=gmail&actor=u1").await;
    assert_eq!(token.status, 200, "{}", token.text);
}

#[tokio::test]
async fn from_one_to_another() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let directory = tempfile::tempdir().expect("a directory");

    let section = "From one Grantkeep to another";
    run(&api, &BTreeMap::new(), directory.path(), section, "").await;
}
