//! `grantkeep migrate`.

use std::collections::BTreeMap;

use grantkeep_tests::command::grantkeep;
use grantkeep_tests::database;

fn settings(url: &str) -> BTreeMap<String, String> {
    [("DATABASE_URL".to_owned(), url.to_owned())].into()
}

#[tokio::test]
async fn the_plan_changes_nothing_and_applying_twice_changes_nothing_more() {
    let url = database::create().await;
    let variables = settings(&url);

    let plan = grantkeep(&variables, &["migrate", "--plan", "--json"])
        .await
        .json();
    assert_eq!(plan["migrations"][0]["state"], "pending");
    let tables = "select count(*) from pg_tables where schemaname = 'public'";
    let count = async || database::query(&url, tables, &[]).await[0].get::<_, i64>(0);
    assert_eq!(count().await, 0);

    let first = grantkeep(&variables, &["migrate", "--json"]).await.json();
    let second = grantkeep(&variables, &["migrate", "--json"]).await.json();
    let all = plan["migrations"].as_array().expect("a list").len();
    assert_eq!(first["applied_now"], all);
    assert_eq!(second["applied_now"], 0);
    assert_eq!(second["migrations"][0]["state"], "applied");
    assert!(count().await > 0);
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_was_applied_fails_by_name() {
    let url = database::create().await;
    let variables = settings(&url);
    assert_eq!(grantkeep(&variables, &["migrate"]).await.code, 0);
    let change = "update grantkeep_migrations set checksum = 'x' where version = 1";
    database::execute(&url, change).await;

    let plan = grantkeep(&variables, &["migrate", "--plan", "--json"]).await;
    let apply = grantkeep(&variables, &["migrate"]).await;

    assert_eq!((plan.code, apply.code), (1, 1));
    assert_eq!(plan.json()["migrations"][0]["state"], "changed since");
    assert!(apply.stderr.contains("V1__"), "{apply:?}");
}
