//! Backups: sealed under a key of their own, restored into an empty database, and refused
//! when they are cut, altered or opened with another key.

use std::collections::BTreeMap;

use grantkeep_tests::command::grantkeep;
use grantkeep_tests::{TestApi, database};
use serde_json::{Value, json};

use crate::command::mode;

const BACKUP_KEY: &str = "dGhyZWUtb3JhbmdlLWxhbXBzLW92ZXItYS1icmlkZ2U=";
const OTHER_KEY: &str = "cXVpZXQtbW91bnRhaW4td2FsbnV0LWtpdGUtODghISE=";

/// Variables of an api with a backup key beside them.
fn with_key(api: &TestApi, key: &str) -> BTreeMap<String, String> {
    let mut variables = api.variables.clone();
    variables.insert("GRANTKEEP_BACKUP_KEY".to_owned(), key.to_owned());
    variables
}

/// Rows as they are in the database, without what a restore need not keep.
async fn rows(url: &str) -> Vec<Value> {
    let sql = "select to_jsonb(o) - array['token_data', 'key_id', 'lease_id', 'lease_until']
                 from oauth_tokens o order by id";
    let rows = database::query(url, sql, &[]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_backup_restored_into_an_empty_database_gives_the_same_answers() {
    let api = TestApi::start().await;
    for provider in ["gmail", "google_calendar", "outlook"] {
        api.connect(provider).await;
    }
    api.set_expiry("outlook", -1).await;
    api.provider.kill_grants();
    assert_eq!(
        api.token("outlook").await.code(),
        "reauthorization_required"
    );
    let token = api.token("gmail").await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("backup").display().to_string();

    let out = grantkeep(
        &with_key(&api, BACKUP_KEY),
        &["export", "-o", &path, "--json"],
    )
    .await;
    assert_eq!(
        (out.code, &out.json()["connections"]),
        (0, &json!(3)),
        "{out:?}"
    );
    assert_eq!(mode(&path), 0o600);
    let text = std::fs::read_to_string(&path).expect("a backup");
    assert!(!text.contains(token.json()["access_token"].as_str().expect("a token")));

    // Another database under another key, of another company as it were.
    let elsewhere = TestApi::builder()
        .variable("OAUTH_ENCRYPTION_KEY", OTHER_KEY)
        .start()
        .await;
    let variables = with_key(&elsewhere, BACKUP_KEY);
    let dry = grantkeep(&variables, &["import", &path, "--dry-run"]).await;
    assert!(dry.stdout.contains("3 to restore"), "{dry:?}");
    let back = grantkeep(&variables, &["import", &path, "--json"]).await;
    assert_eq!(
        (back.code, &back.json()["imported"]),
        (0, &json!(3)),
        "{back:?}"
    );

    assert_eq!(
        rows(&api.database_url).await,
        rows(&elsewhere.database_url).await
    );
    let connections = "/api/connections";
    assert_eq!(
        api.get(connections).await.json(),
        elsewhere.get(connections).await.json()
    );
    for provider in ["gmail", "google_calendar", "outlook"] {
        let (here, there) = (api.token(provider).await, elsewhere.token(provider).await);
        assert_eq!(here.status, there.status, "{provider}");
        let (here, there) = (here.json(), there.json());
        assert_eq!(here["access_token"], there["access_token"], "{provider}");
        assert_eq!(here["since"], there["since"], "{provider}");
    }

    let again = grantkeep(&variables, &["import", &path, "--json"]).await;
    assert_eq!((again.code, &again.json()["unchanged"]), (0, &json!(3)));
}

#[tokio::test]
async fn a_damaged_backup_or_a_wrong_key_restores_nothing() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.connect("outlook").await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("backup");
    let name = path.display().to_string();
    let variables = with_key(&api, BACKUP_KEY);
    assert_eq!(
        grantkeep(&variables, &["export", "-o", &name]).await.code,
        0
    );
    let text = std::fs::read_to_string(&path).expect("a backup");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    let mut moved: Value = serde_json::from_str(lines[1]).expect("JSON");
    let other: Value = serde_json::from_str(lines[2]).expect("JSON");
    moved["sealed"] = other["sealed"].clone();

    let empty = TestApi::start().await;
    for (what, text, key, told) in [
        ("cut", lines[..3].join("\n"), BACKUP_KEY, "cut off"),
        (
            "short",
            [lines[0], lines[1], lines[3]].join("\n"),
            BACKUP_KEY,
            "number",
        ),
        (
            "more",
            format!("{text}{}\n", lines[1]),
            BACKUP_KEY,
            "number",
        ),
        (
            "moved",
            [lines[0], &moved.to_string(), lines[2], lines[3]].join("\n"),
            BACKUP_KEY,
            "line 2",
        ),
        ("key", text.clone(), OTHER_KEY, "--key-file"),
    ] {
        std::fs::write(&path, text).expect("written");
        let ran = grantkeep(&with_key(&empty, key), &["import", &name]).await;
        assert_eq!(ran.code, 1, "{what}: {ran:?}");
        assert!(ran.stdout.contains(told), "{what}: {ran:?}");
    }
    let connections = empty.get("/api/connections").await.json();
    assert_eq!(connections["connections"], json!([]));
}

#[tokio::test]
async fn a_connection_that_was_refreshed_since_is_not_set_back() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("backup").display().to_string();
    assert_eq!(
        grantkeep(&api.variables, &["export", "-o", &path])
            .await
            .code,
        0
    );
    api.set_expiry("gmail", -1).await;
    let newer = api.token("gmail").await.json();

    let ran = grantkeep(&api.variables, &["import", &path, "--json"]).await;

    assert_eq!(
        (ran.code, &ran.json()["unchanged"]),
        (0, &json!(1)),
        "{ran:?}"
    );
    assert_eq!(
        api.token("gmail").await.json()["access_token"],
        newer["access_token"]
    );
}

#[tokio::test]
async fn the_key_may_come_from_a_file_and_never_from_the_command_line() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let directory = tempfile::tempdir().expect("a directory");
    let key = directory.path().join("key").display().to_string();
    std::fs::write(&key, format!("{BACKUP_KEY}\n")).expect("written");
    let path = directory.path().join("backup").display().to_string();

    let out = grantkeep(&api.variables, &["export", "--key-file", &key, "-o", &path]).await;
    let own = grantkeep(&api.variables, &["import", &path]).await;
    let right = grantkeep(&api.variables, &["import", &path, "--key-file", &key]).await;

    assert_eq!(
        (out.code, own.code, right.code),
        (0, 1, 0),
        "{own:?} {right:?}"
    );
}
