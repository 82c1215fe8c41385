//! The least a function can be: the floor that benchmarks compare with.

use std::process::ExitCode;

use axum::Router;
use axum::routing::get;
use http::header;

fn start() -> Router {
    let hello = (
        [(header::CONTENT_TYPE, "application/json")],
        r#"{"ok":true}"#,
    );
    Router::new().route("/", get(move || async move { hello }))
}

fn main() -> ExitCode {
    grantkeep_runtime::serve(start)
}
