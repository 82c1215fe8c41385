//! Who owns a row sees it, and nobody else learns that it exists.

use grantkeep_tests::api::{ACME_KEY, session};
use grantkeep_tests::{Consent, TestApi, database};

use crate::support::{GMAIL, access_token, connect_account_as, connect_as, refusal, text};

const UNKNOWN: &str = "/api/connections/00000000-0000-4000-8000-000000000000";

#[tokio::test]
async fn tn01_a_connection_of_another_workspace_or_actor_looks_like_none() {
    let api = TestApi::start().await;
    connect_as(&api, "gmail", "default", "alice").await;
    let id = text(&api.get(&format!("{GMAIL}&actor=alice")).await.json()["connection_id"]);
    let path = format!("/api/connections/{id}");
    let bob = session("default", "bob");
    let elsewhere = session("acme", "alice");

    for bearer in [ACME_KEY, &bob, &elsewhere] {
        let foreign = api.get_as(bearer, &path).await;
        let unknown = api.get_as(bearer, UNKNOWN).await;
        assert_eq!(refusal(&foreign), (404, "not_connected".to_owned()));
        assert_eq!(foreign.text, unknown.text);
    }
    for bearer in [&bob, &elsewhere] {
        let refused = grantkeep_tests::http::send(
            api.request("DELETE", &path)
                .header("authorization", format!("Bearer {bearer}")),
        )
        .await;
        assert_eq!(refusal(&refused), (404, "not_connected".to_owned()));
    }
    let own = session("default", "alice");
    assert_eq!(api.get_as(&own, &path).await.status, 200);
}

#[tokio::test]
async fn tn01_a_list_holds_ones_own_connections_only() {
    let api = TestApi::start().await;
    for (workspace, actor) in [("default", "alice"), ("default", "bob"), ("acme", "alice")] {
        connect_as(&api, "gmail", workspace, actor).await;
    }

    for (bearer, path, expected) in [
        (session("default", "alice"), "/api/connections", 1),
        (session("acme", "bob"), "/api/connections", 0),
        // A session names no owner but its own.
        (
            session("default", "alice"),
            "/api/connections?workspace=acme&actor=bob",
            1,
        ),
        (ACME_KEY.to_owned(), "/api/connections?workspace=acme", 1),
    ] {
        let list = api.get_as(&bearer, path).await.json();
        let rows = list["connections"].as_array().expect("a list");
        assert_eq!(rows.len(), expected, "{path}");
        if bearer != ACME_KEY {
            assert!(
                rows.iter()
                    .all(|row| row["workspace"] == "default" && row["actor"] == "alice")
            );
        }
    }
    let refused = api.get_as(ACME_KEY, "/api/connections").await;
    assert_eq!(refusal(&refused), (403, "forbidden".to_owned()));
}

#[tokio::test]
async fn tn01_a_key_of_one_workspace_reads_no_token_of_another() {
    let api = TestApi::start().await;
    connect_as(&api, "gmail", "default", "alice").await;
    connect_as(&api, "gmail", "acme", "alice").await;

    let foreign = api.get_as(ACME_KEY, &format!("{GMAIL}&actor=alice")).await;
    let own = format!("{GMAIL}&workspace=acme&actor=alice");
    let own = api.get_as(ACME_KEY, &own).await;

    assert_eq!(refusal(&foreign), (403, "forbidden".to_owned()));
    access_token(&own);
    assert_eq!(own.json()["workspace"], "acme");
}

#[tokio::test]
async fn tn02_one_row_for_each_provider_workspace_actor_and_account() {
    let api = TestApi::start().await;
    let accounts = ["alice@example.test", "bob@example.test"];
    for provider in ["gmail", "google_calendar"] {
        for workspace in ["default", "acme"] {
            for actor in ["one", "two"] {
                for account in accounts {
                    let consent = Consent::of(account);
                    connect_account_as(&api, provider, workspace, actor, &consent).await;
                }
            }
        }
    }
    // The same once more changes rows and adds none.
    connect_as(&api, "gmail", "acme", "two").await;

    let count = "select count(*)::text from oauth_tokens";
    assert_eq!(api.text(count).await.as_deref(), Some("16"));
    let versions = "select string_agg(version::text, '' order by version) from oauth_tokens";
    assert_eq!(
        api.text(versions).await.as_deref(),
        Some("1111111111111112")
    );

    let mut tokens = Vec::new();
    for account in accounts {
        let path = format!("{GMAIL}&actor=one&account={account}");
        let reply = api.get(&path).await;
        assert_eq!(reply.json()["account"], account, "{}", reply.text);
        tokens.push(access_token(&reply));
    }
    assert_ne!(tokens[0], tokens[1]);
    let none_named = api.get(&format!("{GMAIL}&actor=one")).await;
    assert_eq!(refusal(&none_named), (409, "ambiguous_account".to_owned()));
    assert_eq!(none_named.json()["accounts"], serde_json::json!(accounts));
}

#[tokio::test]
async fn tn02_the_database_itself_refuses_a_second_row_of_the_same_key() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let client = database::connect(&api.database_url).await;

    let second = "insert into oauth_tokens (id, provider, workspace_id, actor_id, account,
                                            client_id, status)
                  select gen_random_uuid(), provider, workspace_id, actor_id, account,
                         client_id, status from oauth_tokens";
    let refused = client.batch_execute(second).await.expect_err("a duplicate");

    assert_eq!(
        refused.code(),
        Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION)
    );
}
