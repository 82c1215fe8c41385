//! `AUDIT_READS=table`: every read of a token leaves a row, in the round trip of the read.

use grantkeep_demo_provider::Knobs;
use grantkeep_tests::api::{ACME_KEY, app};
use grantkeep_tests::instance::{Served, get};
use grantkeep_tests::wire::Wire;
use grantkeep_tests::{TestApi, TestApiBuilder, database};

const GMAIL: &str = "/api/token?provider=gmail";

fn audited() -> TestApiBuilder {
    TestApi::builder().variable("AUDIT_READS", "table")
}

/// Every row as `key provider workspace actor account scope result version`.
async fn rows(api: &TestApi) -> Vec<String> {
    let sql = "select concat_ws(' ', service_key, provider, workspace_id, actor_id,
                      coalesce(account, '-'), coalesce(scope, '-'), result,
                      coalesce(version::text, '-'))
                 from token_reads order by id";
    let rows = database::query(&api.database_url, sql, &[]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn tk07_a_read_leaves_a_row_that_says_who_got_which_token_set() {
    let api = audited().start().await;
    api.connect("gmail").await;

    let token = api.get(&format!("{GMAIL}&scope=openid")).await.json();

    let account = token["account"].as_str().expect("an account");
    let row = format!("everything gmail default default {account} openid issued 1");
    assert_eq!(rows(&api).await, [row]);
    let id = api
        .text("select connection_id::text from token_reads")
        .await;
    assert_eq!(id.as_deref(), token["connection_id"].as_str());
}

#[tokio::test]
async fn tk07_denied_reads_are_recorded_with_their_code() {
    let api = audited().start().await;

    api.token("gmail").await;
    api.connect("gmail").await;
    api.get(&format!(
        "{GMAIL}&scope=https://www.googleapis.com/auth/drive"
    ))
    .await;
    api.get_as(ACME_KEY, GMAIL).await;
    api.set_expiry("gmail", -1).await;
    api.provider
        .update(|knobs: &mut Knobs| knobs.token_status = Some(500));
    api.token("gmail").await;
    let sql = "update oauth_tokens set status = 'reauthorization_required'";
    database::execute(&api.database_url, sql).await;
    api.token("gmail").await;
    let sql = "insert into oauth_tokens (id, provider, workspace_id, actor_id, account, client_id,
                                         status, token_data)
               select gen_random_uuid(), provider, workspace_id, actor_id, 'another', client_id,
                      status, token_data
                 from oauth_tokens";
    database::execute(&api.database_url, sql).await;
    api.token("gmail").await;

    let results: Vec<String> = rows(&api)
        .await
        .iter()
        .map(|row| row.split(' ').nth(6).expect("a result").to_owned())
        .collect();
    assert_eq!(
        results,
        [
            "not_connected",
            "insufficient_scope",
            "forbidden",
            "provider_unavailable",
            "reauthorization_required",
            "ambiguous_account",
        ]
    );
}

#[tokio::test]
async fn tk07_a_refreshed_token_is_recorded_by_its_own_version() {
    let api = audited().start().await;
    api.connect("gmail").await;
    api.set_expiry("gmail", -1).await;

    assert_eq!(api.token("gmail").await.status, 200);

    let rows = rows(&api).await;
    assert_eq!(rows.len(), 1);
    assert!(rows[0].ends_with("issued 2"), "{rows:?}");
}

#[tokio::test]
async fn tk07_the_row_costs_no_round_trip() {
    let api = audited().start().await;
    api.connect("gmail").await;
    let wire = Wire::before(&api.database_url).await;
    let mut variables = api.variables.clone();
    variables.insert("DATABASE_URL".to_owned(), wire.url.clone());
    let router =
        grantkeep_functions::service::all(&grantkeep_functions::routes::FUNCTIONS, app(&variables));
    let instance = Served::start(router).await;
    get(&instance.origin, GMAIL).await;
    wire.round_trips();

    for _ in 0..10 {
        assert_eq!(get(&instance.origin, GMAIL).await.status, 200);
    }

    assert_eq!(wire.round_trips(), 10);
    assert_eq!(rows(&api).await.len(), 11);
}

#[tokio::test]
async fn tk07_a_token_whose_row_cannot_be_written_is_not_handed_out() {
    let api = audited().start().await;
    api.connect("gmail").await;
    let sql = "alter table token_reads add check (result <> 'issued')";
    database::execute(&api.database_url, sql).await;

    let reply = api.token("gmail").await;

    assert_eq!(
        (reply.status, reply.code().as_str()),
        (503, "storage_unavailable")
    );
}

#[tokio::test]
async fn without_the_setting_no_row_is_written() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    assert_eq!(api.token("gmail").await.status, 200);

    assert!(rows(&api).await.is_empty());
}
