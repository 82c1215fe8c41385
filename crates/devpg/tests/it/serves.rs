//! What a started server does.

use std::os::unix::fs::MetadataExt;

use grantkeep_devpg::Postgres;

use crate::support::{query, tls_offer};

fn started() -> Postgres {
    Postgres::start(&mut |_| {}).unwrap()
}

#[test]
fn a_started_server_answers_and_its_urls_name_its_port() {
    let mut steps = Vec::new();
    let postgres = Postgres::start(&mut |step| steps.push(step.to_owned())).unwrap();
    let port = postgres.port();

    assert_eq!(query(port, "select 40 + 2"), Ok("42".into()));
    assert_eq!(query(port, "show server_encoding"), Ok("UTF8".into()));
    assert_eq!(query(port, "show timezone"), Ok("UTC".into()));
    assert_eq!(
        postgres.url(),
        format!("postgres://postgres@127.0.0.1:{port}/postgres")
    );
    assert_eq!(
        postgres.database_url("a b/c"),
        format!("postgres://postgres@127.0.0.1:{port}/a%20b%2Fc")
    );
    assert!(postgres.bin_dir().join("postgres").is_file());
    assert!(
        steps
            .iter()
            .any(|step| step.starts_with("starting PostgreSQL ")),
        "{steps:?}"
    );
}

#[test]
fn settings_reach_the_server_and_the_last_one_wins() {
    let postgres = Postgres::builder()
        .setting("max_connections", "17")
        .setting("timezone", "Asia/Tokyo")
        .setting("max_connections", "23")
        .start(&mut |_| {})
        .unwrap();

    assert_eq!(
        query(postgres.port(), "show max_connections"),
        Ok("23".into())
    );
    assert_eq!(
        query(postgres.port(), "show timezone"),
        Ok("Asia/Tokyo".into())
    );
}

#[test]
fn a_setting_the_server_refuses_is_an_error_with_its_own_words() {
    let error = Postgres::builder()
        .setting("no_such_setting", "1")
        .start(&mut |_| {})
        .unwrap_err();

    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[test]
fn a_restarted_server_has_the_same_port_and_data() {
    let mut postgres = started();
    let port = postgres.port();
    query(port, "create table kept as select 7 as n").unwrap();

    postgres.stop();
    let while_stopped = query(port, "select 1");
    postgres.restart().unwrap();

    assert!(while_stopped.unwrap_err().starts_with("connection: "));
    assert_eq!(postgres.port(), port);
    assert_eq!(query(port, "select n from kept"), Ok("7".into()));
}

#[test]
fn a_running_server_can_be_restarted_under_its_clients() {
    let mut postgres = started();
    let before = query(postgres.port(), "select pg_postmaster_start_time()");

    postgres.restart().unwrap();

    let after = query(postgres.port(), "select pg_postmaster_start_time()");
    assert!(before.is_ok() && after.is_ok());
    assert_ne!(before, after);
}

#[test]
fn two_servers_live_side_by_side() {
    let (one, other) = (started(), started());

    assert_ne!(one.port(), other.port());
    assert_ne!(one.directory(), other.directory());
    assert_eq!(query(one.port(), "select 1"), Ok("1".into()));
    assert_eq!(query(other.port(), "select 1"), Ok("1".into()));
}

#[test]
fn a_server_with_tls_offers_it_and_its_key_is_its_own_alone() {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let postgres = Postgres::builder()
        .tls(made.cert.pem(), made.signing_key.serialize_pem())
        .hba([
            "hostssl all all 127.0.0.1/32 scram-sha-256",
            "hostnossl template1 postgres 127.0.0.1/32 trust",
        ])
        .start(&mut |_| {})
        .unwrap();

    let key = postgres
        .directory()
        .join("data/server.key")
        .metadata()
        .unwrap();
    let data = postgres.directory().join("data").metadata().unwrap();
    assert_eq!(tls_offer(postgres.port()), 'S');
    assert_eq!(key.mode() & 0o777, 0o600);
    assert_eq!(key.uid(), data.uid());
    let refused = query(postgres.port(), "select 1").unwrap_err();
    assert!(refused.contains("no encryption"), "{refused}");
}

#[test]
fn a_server_without_tls_declines_it() {
    let postgres = started();

    assert_eq!(tls_offer(postgres.port()), 'N');
}

#[test]
fn the_environment_of_this_process_does_not_reach_the_server() {
    let postgres = started();
    query(postgres.port(), "create table seen (line text)").unwrap();

    query(postgres.port(), "copy seen from program 'env'").unwrap();

    assert_eq!(
        query(
            postgres.port(),
            "select count(*) from seen where line like 'CARGO%'"
        ),
        Ok("0".into())
    );
    assert_eq!(
        query(
            postgres.port(),
            "select count(*) from seen where line = 'TZ=UTC'"
        ),
        Ok("1".into())
    );
}
