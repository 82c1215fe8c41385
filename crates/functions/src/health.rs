//! `GET /api/health`: whether it works; with a service key, how.

use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use grantkeep_core::cold_start;
use grantkeep_core::service_key::Permission;
use grantkeep_core::store::oauth_tokens;

use crate::caller::ServiceKey;
use crate::json;
use crate::problem::Problem;
use crate::service::{Function, Instance};

/// This function.
pub static FUNCTION: Function = Function {
    name: "health",
    routes: &[("/api/health", &["GET"])],
    needs: &[],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    Router::new().route("/api/health", get(health))
}

/// 200 while the database answers, else 503; the same JSON in both cases.
async fn health(
    State(instance): State<Instance>,
    key: Option<ServiceKey>,
) -> Result<Response, Problem> {
    if let Some(key) = &key {
        key.require_permission(Permission::Read)?;
    }
    let app = &instance.app;
    let began = Instant::now();
    let summary = oauth_tokens::summary(&app.store).await;
    let latency_ms = began.elapsed().as_secs_f64() * 1e3;

    let (status, word) = match &summary {
        Ok(_) => (StatusCode::OK, "ok"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let mut body = json!({"status": word, "version": env!("CARGO_PKG_VERSION")});
    if key.is_some() {
        let report = instance
            .cold_start
            .get_or_init(|| cold_start::check(app))
            .await;
        body["cold_start"] = serde_json::to_value(report).unwrap_or_default();
        body["encryption"] = json!({
            "key_ids": app.settings.keys.ids().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "primary_key_id": app.settings.keys.primary_id().to_string(),
        });
        body["cache"] = json!({"configured": false});
        match summary {
            Ok((counts, oldest)) => {
                body["database"] = json!({"reachable": true, "latency_ms": latency_ms});
                body["connections"] = counts
                    .into_iter()
                    .map(|(status, count)| (status, count.into()))
                    .collect::<Map<String, Value>>()
                    .into();
                body["oldest_failing_refresh"] = json!(oldest.map(json::rfc3339));
            }
            Err(error) => {
                body["database"] = json!({"reachable": false, "error": error.to_string()});
            }
        }
    }
    Ok(json::json(status, &body))
}
