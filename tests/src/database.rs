//! One Postgres server for the whole run, one database for each test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use grantkeep_devpg::Postgres;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row};

/// The server of this run; it ends with the process.
pub fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        Postgres::builder()
            .setting("max_connections", "300")
            .start(&mut |_| {})
            .expect("a Postgres server for the tests")
    })
}

/// A new, empty database; its URL.
pub async fn create() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let server = tokio::task::spawn_blocking(server).await.expect("server");
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let admin = connect(&server.url()).await;
    admin
        .batch_execute(&format!("create database {name}"))
        .await
        .expect("create database");
    server.database_url(&name)
}

/// A plain connection for looking at what is stored.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

/// Rows of a statement.
pub async fn query(url: &str, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
    connect(url).await.query(sql, params).await.expect("query")
}

/// Runs statements.
pub async fn execute(url: &str, sql: &str) {
    connect(url)
        .await
        .batch_execute(sql)
        .await
        .expect("statements");
}
