//! `GET /api/health`: whether it works; with a service key, how.

use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use grantkeep_core::App;
use grantkeep_core::rotate;
use grantkeep_core::service_key::Permission;
use grantkeep_core::store::connection_events::outbox;
use grantkeep_core::store::{cron_runs, disabled_webhooks, oauth_tokens};

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

/// 200 while the database answers, else 503; the same JSON in both cases. Nobody without
/// a key can make it count.
async fn health(
    State(instance): State<Instance>,
    key: Option<ServiceKey>,
) -> Result<Response, Problem> {
    if let Some(key) = &key {
        key.require_permission(Permission::Read)?;
    }
    let store = &instance.app.store;
    let began = Instant::now();
    let answers = store.ping().await;
    let latency_ms = began.elapsed().as_secs_f64() * 1e3;

    let (status, word) = match &answers {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let mut body = json!({"status": word, "version": env!("CARGO_PKG_VERSION")});
    if let Some(key) = key {
        body["database"] = match answers {
            Ok(()) => json!({"reachable": true, "latency_ms": latency_ms}),
            Err(error) => json!({"reachable": false, "error": error.to_string()}),
        };
        details(&instance, &key, &mut body).await;
    }
    Ok(json::json(status, &body))
}

/// What an operator looks at first; connections are those that the key reaches.
async fn details(instance: &Instance, key: &ServiceKey, body: &mut Value) {
    let app = &instance.app;
    let keys = &app.settings.keys;
    let ids: Vec<String> = keys.ids().iter().map(ToString::to_string).collect();
    body["cold_start"] = serde_json::to_value(instance.report().await).unwrap_or_default();
    body["encryption"] = json!({
        "key_ids": ids,
        "primary_key_id": keys.primary_id().to_string(),
    });
    if let Ok(unknown) = rotate::unknown_keys(app).await {
        body["encryption"]["unknown_key_ids"] = unknown.into_keys().collect();
    }
    body["cache"] = cache(app).await;
    body["webhook"] = webhook(app, key).await;
    if let Ok((counts, oldest)) = oauth_tokens::summary(&app.store, key.0.workspace()).await {
        let counts = counts.into_iter();
        body["connections"] = counts
            .map(|(status, count)| (status, count.into()))
            .collect::<Map<String, Value>>()
            .into();
        body["oldest_failing_refresh"] = json!(oldest.map(json::rfc3339));
    }
    if let Ok(runs) = cron_runs::list(&app.store).await {
        let runs = runs.into_iter();
        body["cron"] = runs
            .map(|(job, ended_at)| (job, json::rfc3339(ended_at).into()))
            .collect::<Map<String, Value>>()
            .into();
    }
}

/// How deliveries stand; what waits is of all workspaces, so only a key that reaches all of
/// them sees it.
async fn webhook(app: &App, key: &ServiceKey) -> Value {
    let Some(endpoint) = &app.settings.webhook else {
        return json!({"configured": false});
    };
    let mut state = json!({"configured": true});
    if let Ok(disabled) = disabled_webhooks::since(&app.store, &endpoint.url_hash()).await {
        state["disabled_since"] = json!(disabled.map(json::rfc3339));
    }
    if key.0.workspace().is_none()
        && let Ok(standing) = outbox::standing(&app.store).await
    {
        state["waiting"] = standing.waiting.into();
        state["oldest_waiting"] = json!(standing.oldest.map(json::rfc3339));
        state["given_up"] = standing.given_up.into();
    }
    state
}

/// Whether this instance reaches Redis. It is a cache: nothing fails without it.
async fn cache(app: &App) -> Value {
    let Some(cache) = &app.cache else {
        return json!({"configured": false});
    };
    match cache.ping().await {
        Ok(latency) => json!({
            "configured": true,
            "reachable": true,
            "latency_ms": latency.as_secs_f64() * 1e3,
        }),
        Err(error) => json!({
            "configured": true,
            "reachable": false,
            "error": error.to_string(),
        }),
    }
}
