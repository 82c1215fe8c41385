//! Listing, showing, refreshing, revoking, deleting and connecting.

use grantkeep_tests::command::{Ran, grantkeep, prepared};
use grantkeep_tests::{Consent, TestApi, database};
use tokio::io::{AsyncBufReadExt, BufReader};

async fn run(api: &TestApi, arguments: &[&str]) -> Ran {
    grantkeep(&api.variables, arguments).await
}

fn revocations(api: &TestApi) -> usize {
    let requests = api.provider.requests();
    requests
        .iter()
        .filter(|one| one.endpoint.ends_with("/revoke"))
        .count()
}

/// Copies of the only connection, by actors of their own; their token sets do not open.
async fn copy(api: &TestApi, count: u32) {
    let sql = format!(
        "insert into oauth_tokens (id, provider, workspace_id, actor_id, account, client_id,
                                   status, token_data, expires_at)
         select gen_random_uuid(), provider, 'many', 'actor-' || n, account, client_id, status,
                token_data, expires_at
           from oauth_tokens, generate_series(1, {count}) n"
    );
    database::execute(&api.database_url, &sql).await;
}

#[tokio::test]
async fn list_shows_every_workspace_page_by_page_and_no_token() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    copy(&api, 1201).await;

    let all = run(&api, &["list", "--json"]).await.json();
    let some = run(&api, &["list", "--json", "--limit", "501"])
        .await
        .json();
    let one = run(&api, &["list", "--actor", "actor-7"]).await;

    let connections = all["connections"].as_array().expect("a list");
    assert_eq!(connections.len(), 1202);
    let ids: std::collections::HashSet<_> = connections.iter().map(|c| c["id"].as_str()).collect();
    assert_eq!(ids.len(), 1202);
    assert_eq!(some["connections"].as_array().map(Vec::len), Some(501));
    assert_eq!(one.stdout.lines().count(), 2, "{one:?}");
    let token = api.token("gmail").await.json()["access_token"].clone();
    assert!(!all.to_string().contains(token.as_str().expect("a token")));
}

#[tokio::test]
async fn lk05_tokens_are_shown_only_on_request_and_only_after_a_yes() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let answer = api.token("gmail").await.json()["access_token"].clone();
    let token = answer.as_str().expect("a token");

    let plain = run(&api, &["show", "gmail", "--json"]).await;
    let unanswered = run(&api, &["show", "gmail", "--reveal"]).await;
    let revealed = run(&api, &["show", "gmail", "--reveal", "--yes", "--json"]).await;

    assert_eq!(plain.json()["account"], "alice@example.test");
    assert!(!plain.stdout.contains(token));
    assert_eq!(unanswered.code, 2);
    assert!(!unanswered.stdout.contains(token) && !unanswered.stderr.contains(token));
    assert_eq!(revealed.json()["access_token"], token);
    assert!(revealed.json()["refresh_token"].is_string());
}

#[tokio::test]
async fn one_of_several_accounts_has_to_be_named() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let bob = Consent {
        account: "bob@example.test".to_owned(),
        ..Consent::default()
    };
    api.connect_with("gmail", &bob).await;

    let several = run(&api, &["show", "gmail", "--json"]).await;
    let named = ["show", "gmail", "--account", "bob@example.test", "--json"];
    let named = run(&api, &named).await;

    assert_eq!(several.code, 1);
    assert_eq!(several.json()["error"]["code"], "ambiguous_account");
    assert_eq!(named.json()["account"], "bob@example.test");
    let by_id = run(
        &api,
        &["show", named.json()["id"].as_str().unwrap(), "--json"],
    )
    .await;
    assert_eq!(by_id.json(), named.json());
}

#[tokio::test]
async fn refresh_makes_a_new_token_whatever_the_old_one_has_left() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let before = api.token("gmail").await.json()["access_token"].clone();

    let ran = run(&api, &["refresh", "gmail", "--json"]).await;

    assert_eq!(ran.code, 0, "{ran:?}");
    assert_ne!(api.token("gmail").await.json()["access_token"], before);
}

#[tokio::test]
async fn refresh_due_leaves_alone_what_is_not_and_names_what_fails() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.connect("google_calendar").await;
    api.set_expiry("gmail", -10).await;
    // The owner's names are part of what the token set is bound to.
    copy(&api, 1).await;
    let due = "update oauth_tokens set expires_at = now() where workspace_id = 'many'";
    database::execute(&api.database_url, due).await;
    let calendar = api.token("google_calendar").await.json()["access_token"].clone();

    let ran = run(&api, &["refresh", "due", "--json"]).await;

    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(ran.json()["refreshed"], 1);
    let failed = ran.json()["failed"].clone();
    assert_eq!(failed.as_array().map(Vec::len), Some(2));
    assert_eq!(failed[0]["code"], "integrity_error");
    assert_eq!(
        api.token("google_calendar").await.json()["access_token"],
        calendar
    );
    let only = ["refresh", "all", "--workspace", "default", "--json"];
    assert_eq!(run(&api, &only).await.code, 0);
}

#[tokio::test]
async fn revoke_tells_the_provider_and_delete_does_not() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    assert_eq!(run(&api, &["revoke", "gmail"]).await.code, 2);
    assert_eq!(api.token("gmail").await.status, 200);
    let deleted = run(&api, &["delete", "gmail", "--yes", "--json"]).await;
    assert_eq!(deleted.json()["deleted"], true);
    assert_eq!(revocations(&api), 0);
    assert_eq!(api.token("gmail").await.status, 404);

    api.connect("gmail").await;
    let revoked = run(&api, &["revoke", "gmail", "--yes", "--json"]).await;
    assert_eq!(revoked.json()["revoked"], true);
    assert_eq!(revocations(&api), 1);
    assert_eq!(api.token("gmail").await.status, 404);
}

#[tokio::test]
async fn connect_prints_a_link_and_waits_until_it_was_used() {
    let api = TestApi::start().await;
    let arguments = ["connect", "gmail", "--actor", "ada", "--wait", "--json"];
    let mut child = prepared(&api.variables, &arguments)
        .await
        .spawn()
        .expect("it starts");
    let mut remarks = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let link = remarks.next_line().await.expect("reads").expect("a link");

    let mut visitor = api.visitor();
    visitor.connect(api.local(&link), &Consent::default()).await;

    let ended = child.wait_with_output().await.expect("it ends");
    let connection: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(connection["actor"], "ada");
    assert_eq!(connection["status"], "active");
}

#[tokio::test]
async fn connect_refuses_what_the_connect_links_function_would() {
    let api = TestApi::start().await;

    let elsewhere = [
        "connect",
        "gmail",
        "--return-to",
        "https://evil.example/",
        "--json",
    ];
    let scope = ["connect", "gmail", "--scope", "everything", "--json"];

    for (arguments, code) in [
        (elsewhere.as_slice(), "return_to_not_allowed"),
        (&scope, "invalid_request"),
        (&["connect", "myspace", "--json"], "unknown_provider"),
    ] {
        let ran = run(&api, arguments).await;
        assert_eq!(
            (ran.code, ran.json()["error"]["code"].as_str()),
            (1, Some(code))
        );
    }
}

#[tokio::test]
async fn events_tell_what_happened_and_whether_a_webhook_was_told() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.connect("outlook").await;
    let sql = "update connection_events set delivered_at = now() where provider = 'outlook';
               insert into connection_events (id, type, provider, created_at)
               values (gen_random_uuid(), 'callback.refused', 'gmail', now() - interval '2 days')";
    database::execute(&api.database_url, sql).await;

    let day = run(&api, &["events", "--json"]).await.json();
    let week = run(&api, &["events", "--json", "--since", "7d", "--limit", "2"]).await;
    let one = run(&api, &["events", "--provider", "outlook"]).await;
    let none = run(&api, &["events", "--type", "connection.renewed"]).await;
    let wrong = run(&api, &["events", "--since", "yesterday"]).await;

    let kinds = |json: &serde_json::Value| -> Vec<String> {
        let events = json["events"].as_array().expect("a list").iter();
        events
            .map(|event| event["type"].as_str().expect("a type").to_owned())
            .collect()
    };
    assert_eq!(kinds(&day), ["connection.connected"; 2]);
    assert_eq!(
        kinds(&week.json()),
        ["callback.refused", "connection.connected"]
    );
    assert!(
        one.stdout.lines().count() == 2 && one.stdout.contains("delivered 20"),
        "{one:?}"
    );
    assert!(
        none.stdout.lines().count() <= 1 && none.code == 0,
        "{none:?}"
    );
    assert_eq!(wrong.code, 2, "{wrong:?}");
}
