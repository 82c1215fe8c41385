//! The least that a function with a database can be: its first request connects and asks
//! something. `cargo xtask bench` compares cold starts with it.

use std::process::ExitCode;

use axum::Router;
use axum::routing::get;
use tokio_postgres::NoTls;

fn start() -> Router {
    Router::new().route("/", get(answer))
}

async fn answer() -> String {
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL");
    let (client, connection) = tokio_postgres::connect(&url, NoTls)
        .await
        .expect("database");
    tokio::spawn(connection);
    let rows = client.query_typed("select 1", &[]).await.expect("answer");
    rows.len().to_string()
}

fn main() -> ExitCode {
    grantkeep_runtime::serve(start)
}
