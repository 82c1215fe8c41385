//! `grantkeep import` and `export --reveal`: files, directories and stdin.

use grantkeep_tests::TestApi;
use grantkeep_tests::command::{Ran, grantkeep, grantkeep_with};
use serde_json::{Value, json};

use crate::support::{ALICE, READONLY, count, filled, fixture, google_auth, live};

async fn run(api: &TestApi, arguments: &[&str]) -> Ran {
    grantkeep(&api.variables, arguments).await
}

fn write(directory: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

#[tokio::test]
async fn a_directory_is_imported_file_by_file_and_each_is_reported() {
    let api = TestApi::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let live = live(&api, READONLY);
    write(&directory, "a.json", &google_auth(&live).to_string());
    write(
        &directory,
        "b.json",
        &fixture("REJECT_service_account.json"),
    );
    write(&directory, "token.pickle", "ccopy_reg\n");
    write(&directory, ".hidden", "{}");
    let path = directory.path().display().to_string();

    let ran = run(&api, &["import", &path, "--json"]).await;

    assert_eq!(ran.code, 1, "{ran:?}");
    let report = ran.json();
    assert_eq!(
        (&report["imported"], &report["failed"]),
        (&json!(1), &json!(2)),
        "{report}"
    );
    let files = report["files"].as_array().expect("files");
    assert_eq!(files[0]["provider"], "gmail");
    assert_eq!(files[1]["field"], "type");
    assert!(
        files[2]["message"]
            .as_str()
            .is_some_and(|it| it.contains("to_json()"))
    );
    assert!(!ran.stdout.contains(&live.refresh) && !ran.stdout.contains(&live.access));
    assert_eq!(api.token("gmail").await.status, 200);
}

#[tokio::test]
async fn the_same_file_again_is_unchanged_and_exits_0() {
    let api = TestApi::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = write(
        &directory,
        "t",
        &google_auth(&live(&api, READONLY)).to_string(),
    );

    let first = run(&api, &["import", &file, "--provider", "gmail"]).await;
    let second = run(&api, &["import", &file, "--provider", "gmail"]).await;

    assert_eq!((first.code, second.code), (0, 0), "{first:?} {second:?}");
    assert!(second.stdout.contains("1 unchanged"), "{second:?}");
    assert_eq!(count(&api, "connection_events").await, 1);
}

#[tokio::test]
async fn a_dry_run_asks_nobody_and_stores_nothing() {
    let api = TestApi::start().await;
    let live = live(&api, READONLY);
    let file = filled("gcloud_adc_authorized_user.json", &live);

    let arguments = ["import", "-", "--dry-run", "--provider", "gmail", "--json"];
    let ran = grantkeep_with(&api.variables, &arguments, &file).await;

    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["files"][0]["outcome"], "would_import");
    assert_eq!(api.provider.token_requests(), 0);
    assert_eq!(
        count(&api, "pg_class where relname = 'oauth_tokens'").await,
        0
    );
}

#[tokio::test]
async fn a_dead_file_fails_unless_it_is_to_be_kept() {
    let api = TestApi::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = write(
        &directory,
        "t",
        &google_auth(&live(&api, READONLY)).to_string(),
    );
    api.provider.kill_grants();

    let refused = run(&api, &["import", &file, "--json"]).await;
    assert_eq!(
        (refused.code, &refused.json()["files"][0]["code"]),
        (1, &json!("dead"))
    );
    let empty = api.get("/api/connections").await.json();
    assert_eq!(empty["connections"], json!([]));

    let kept = run(&api, &["import", &file, "--keep"]).await;
    assert_eq!(kept.code, 0, "{kept:?}");
    assert_eq!(api.token("gmail").await.code(), "reauthorization_required");
}

#[tokio::test]
async fn a_ruby_store_is_imported_for_each_of_its_users_or_not_at_all() {
    let api = TestApi::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let entry = |live: &crate::support::Live| {
        json!({"client_id": grantkeep_demo_provider::client::DEMO_CLIENT_ID,
               "access_token": live.access, "refresh_token": live.refresh,
               "scope": [READONLY], "expiration_time_millis": 1_767_323_045_000_i64})
        .to_string()
    };
    let (one, two) = (live(&api, READONLY), live(&api, READONLY));
    let store = |second: &str| format!("---\ndefault: '{}'\nsecond: '{second}'\n", entry(&one));
    let bad = write(
        &directory,
        "bad.yaml",
        &store(&entry(&two).replace(&two.refresh, "1//dead")),
    );
    let good = write(&directory, "good.yaml", &store(&entry(&two)));

    let refused = run(&api, &["import", &bad, "--provider", "gmail"]).await;
    let empty = api.get("/api/connections").await.json();
    let made = run(&api, &["import", &good, "--provider", "gmail"]).await;

    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stdout.contains("2 failed"), "{refused:?}");
    assert_eq!(empty["connections"], json!([]));
    assert_eq!(made.code, 0, "{made:?}");
    for actor in ["default", "second"] {
        let path = format!("/api/token?provider=gmail&actor={actor}");
        assert_eq!(api.get(&path).await.status, 200, "{actor}");
    }
}

#[tokio::test]
async fn what_is_exported_in_the_clear_imports_as_the_same_connection() {
    let here = TestApi::start().await;
    let there = beside(&here).await;
    here.connect("gmail").await;
    let before = here.get("/api/connections").await.json()["connections"][0].clone();
    let id = before["id"].as_str().expect("an id");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("out.json").display().to_string();

    let unsaid = run(&here, &["export", id, "--reveal", "--output", &path]).await;
    assert_eq!(unsaid.code, 2, "{unsaid:?}");
    let ran = run(
        &here,
        &["export", id, "--reveal", "--yes", "--output", &path],
    )
    .await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(mode(&path), 0o600);
    let again = run(
        &here,
        &["export", id, "--reveal", "--yes", "--output", &path],
    )
    .await;
    assert_eq!(again.code, 1, "a file that is there is not overwritten");

    let imported = run(&there, &["import", &path, "--no-verify"]).await;
    assert_eq!(imported.code, 0, "{imported:?}");
    let after = there.get("/api/connections").await.json()["connections"][0].clone();
    for member in [
        "provider",
        "workspace",
        "actor",
        "account",
        "scopes",
        "expires_at",
    ] {
        assert_eq!(after[member], before[member], "{member}");
    }
    assert_eq!(after["account"], ALICE);
    let (old, new) = (here.token("gmail").await, there.token("gmail").await);
    assert_eq!(old.json()["access_token"], new.json()["access_token"]);
}

#[tokio::test]
async fn several_connections_are_revealed_into_a_directory_that_imports_again() {
    let here = TestApi::start().await;
    let there = beside(&here).await;
    for provider in ["gmail", "google_calendar"] {
        here.connect(provider).await;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().display().to_string();

    let none = run(&here, &["export", "--reveal", "--yes"]).await;
    let ran = run(
        &here,
        &["export", "--reveal", "--yes", "-o", &path, "--json"],
    )
    .await;
    let back = run(&there, &["import", &path, "--no-verify", "--json"]).await;

    assert_eq!(none.code, 2, "{none:?}");
    assert_eq!((ran.code, &ran.json()["written"]), (0, &json!(2)));
    assert_eq!(
        (back.code, &back.json()["imported"]),
        (0, &json!(2)),
        "{back:?}"
    );
}

#[tokio::test]
async fn a_fernet_file_opens_under_a_retired_key() {
    let api = TestApi::start().await;
    let old = "cXVpZXQtbW91bnRhaW4td2FsbnV0LWtpdGUtODghISE=";
    let file = crate::api::fernet(old, &google_auth(&live(&api, READONLY)).to_string());
    let mut variables = api.variables.clone();
    let arguments = ["import", "-", "--provider", "gmail"];

    let closed = grantkeep_with(&variables, &arguments, &file).await;
    variables.insert("OAUTH_ENCRYPTION_KEYS_RETIRED".to_owned(), old.to_owned());
    let opened = grantkeep_with(&variables, &arguments, &format!("{file}\n")).await;

    assert_eq!(closed.code, 1);
    assert!(
        closed.stdout.contains("OAUTH_ENCRYPTION_KEYS_RETIRED"),
        "{closed:?}"
    );
    assert_eq!(opened.code, 0, "{opened:?}");
}

#[tokio::test]
async fn exit_codes_tell_usage_from_failure() {
    let api = TestApi::start().await;

    let nothing = run(&api, &["import"]).await;
    let absent = run(&api, &["import", "/nonexistent/token.json"]).await;
    let bad_name = run(&api, &["import", "x", "--actor", ""]).await;

    assert_eq!((nothing.code, absent.code, bad_name.code), (2, 1, 2));
    assert!(
        absent.stdout.contains("/nonexistent/token.json"),
        "{absent:?}"
    );
}

/// Another deployment, at the same provider.
async fn beside(api: &TestApi) -> TestApi {
    let providers = &api.variables["OAUTH_PROVIDERS"];
    TestApi::builder()
        .variable("OAUTH_PROVIDERS", providers)
        .start()
        .await
}

/// Permission bits of a file.
pub fn mode(path: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path)
        .expect("a file")
        .permissions()
        .mode()
        & 0o777
}

#[tokio::test]
async fn a_row_as_json_is_imported_for_whom_it_names() {
    let api = TestApi::start().await;
    let live = live(&api, READONLY);
    let row: Value = json!({"id": 1, "provider": "gmail", "account": ALICE,
        "token_data": {"access_token": live.access, "refresh_token": live.refresh,
                       "scope": READONLY},
        "expires_at": "2026-01-02T03:04:05"});

    let ran = grantkeep_with(&api.variables, &["import", "-", "--json"], &row.to_string()).await;

    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["files"][0]["account"], ALICE);
}
