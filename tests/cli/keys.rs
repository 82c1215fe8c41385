//! Keys and sessions that the command makes are those that the functions take.

use std::collections::BTreeMap;

use grantkeep_core::cipher::KeyRing;
use grantkeep_tests::TestApi;
use grantkeep_tests::command::{grantkeep, grantkeep_with};

fn nothing() -> BTreeMap<String, String> {
    BTreeMap::new()
}

#[tokio::test]
async fn keygen_prints_a_key_and_nothing_else_on_stdout() {
    let first = grantkeep(&nothing(), &["keygen"]).await;
    let second = grantkeep(&nothing(), &["keygen", "--json"]).await;

    let ring = KeyRing::parse(first.stdout.trim()).expect("a key");
    assert!(first.stderr.contains(&ring.primary_id().to_string()));
    let second = second.json();
    let other = KeyRing::parse(second["key"].as_str().expect("a key")).expect("a key");
    assert_eq!(second["key_id"], other.primary_id().to_string());
    assert_ne!(ring.primary_id(), other.primary_id());
}

#[tokio::test]
async fn a_new_service_key_reads_tokens_where_its_entry_is_configured() {
    let made = grantkeep(
        &nothing(),
        &[
            "--json",
            "service-key",
            "new",
            "web",
            "--workspace",
            "default",
        ],
    )
    .await
    .json();
    let (key, entry) = (
        made["key"].as_str().unwrap(),
        made["entry"].as_str().unwrap(),
    );
    assert!(!entry.contains(key));

    let api = TestApi::builder()
        .variable("SERVICE_KEYS", entry)
        .start()
        .await;
    api.connect("gmail").await;

    assert_eq!(
        api.get_as(key, "/api/token?provider=gmail").await.status,
        200
    );
    let other = "/api/token?provider=gmail&workspace=acme";
    assert_eq!(api.get_as(key, other).await.status, 403);
}

#[tokio::test]
async fn tk03_a_service_key_is_recognised_from_stdin_and_a_slip_in_it_is_told() {
    let made = grantkeep(
        &nothing(),
        &[
            "--json",
            "service-key",
            "new",
            "web",
            "--permissions",
            "read,send",
        ],
    )
    .await
    .json();
    let key = made["key"].as_str().unwrap();
    let variables: BTreeMap<String, String> = [(
        "SERVICE_KEYS".to_owned(),
        made["entry"].as_str().unwrap().to_owned(),
    )]
    .into();
    let check = ["--json", "service-key", "check"];

    let found = grantkeep_with(&variables, &check, &format!("{key}\n")).await;
    assert_eq!(
        found.json()["permissions"],
        serde_json::json!(["read", "send"])
    );

    let slip = grantkeep_with(&variables, &check, &key[..key.len() - 1].replace('a', "b")).await;
    assert_eq!(slip.code, 1);

    let last = if key.ends_with('x') { "y" } else { "x" };
    let slip = format!("{}{last}", &key[..key.len() - 1]);
    let slip = grantkeep_with(&variables, &check, &slip).await;
    assert_eq!(slip.code, 1);
    assert!(slip.stdout.contains("checksum"), "{slip:?}");
}

#[tokio::test]
async fn names_and_permissions_that_service_keys_could_not_hold_are_refused() {
    for arguments in [
        ["web:1", "--permissions", "read"],
        ["a,b", "--permissions", "read"],
        ["web", "--permissions", "fly"],
        ["web", "--workspace", "a:b"],
    ] {
        let arguments = [["service-key", "new"].as_slice(), &arguments].concat();
        assert_eq!(
            grantkeep(&nothing(), &arguments).await.code,
            2,
            "{arguments:?}"
        );
    }
}

#[tokio::test]
async fn a_minted_session_lists_its_actors_connections() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let secret = [(
        "SESSION_SECRET".to_owned(),
        api.variables["SESSION_SECRET"].clone(),
    )]
    .into();

    let own = grantkeep(&secret, &["session", "mint", "--ttl", "1m"]).await;
    let others = grantkeep(&secret, &["session", "mint", "--actor", "eve"]).await;

    let count = async |ran: &grantkeep_tests::command::Ran| {
        let answer = api.get_as(ran.stdout.trim(), "/api/connections").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["connections"].as_array().map(Vec::len)
    };
    assert_eq!(count(&own).await, Some(1));
    assert_eq!(count(&others).await, Some(0));
    assert_eq!(
        grantkeep(&secret, &["session", "mint", "--ttl", "32d"])
            .await
            .code,
        2
    );
}
