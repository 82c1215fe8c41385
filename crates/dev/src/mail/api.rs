//! The public HTTP API as another endpoint calls it.

use axum::http::Method;
use grantkeep_core::connection::Owner;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use crate::client::{Answer, get_as, get_with, send_as};

/// Where it is and what it takes.
pub struct Api {
    origin: String,
    service_key: String,
    cron_secret: Option<String>,
}

impl Api {
    pub fn new(origin: &str, service_key: &str, cron_secret: Option<String>) -> Self {
        Self {
            origin: origin.to_owned(),
            service_key: service_key.to_owned(),
            cron_secret,
        }
    }

    /// Reads. The error is the API's own explanation.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        read(get_as(&self.service_key, &self.url(path, query)).await)
    }

    /// Reads at a provider, through the proxy.
    pub async fn proxied(
        &self,
        path: &str,
        query: &[(&str, &str)],
        owner: &Owner,
        account: &str,
    ) -> Result<Value, String> {
        let headers = [
            ("x-grantkeep-workspace", owner.workspace.as_str()),
            ("x-grantkeep-actor", owner.actor.as_str()),
            ("x-grantkeep-account", account),
        ];
        read(get_with(&self.service_key, &self.url(path, query), &headers).await)
    }

    /// Changes something.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, String> {
        let url = self.url(path, &[]);
        read(send_as(&self.service_key, method, &url, body).await)
    }

    /// Takes something away.
    pub async fn delete(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        let url = self.url(path, query);
        read(send_as(&self.service_key, Method::DELETE, &url, &Value::Null).await)
    }

    /// Runs a job as the scheduler does.
    pub async fn run(&self, job: &str) -> Result<Value, String> {
        let secret = self.cron_secret.as_deref();
        let secret = secret.ok_or("CRON_SECRET is not set")?;
        read(get_as(secret, &self.url(&format!("/api/cron/{job}"), &[])).await)
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> String {
        let query = Serializer::new(String::new()).extend_pairs(query).finish();
        format!("{}{path}?{query}", self.origin)
    }
}

fn read(answer: Result<Answer, String>) -> Result<Value, String> {
    let answer = answer?;
    let body = answer.json();
    match answer.status {
        200..300 => Ok(body),
        _ => Err(explained(&body).unwrap_or_else(|| answer.summary())),
    }
}

/// What a problem says, with the field that it is about.
fn explained(body: &Value) -> Option<String> {
    let error = &body["errors"][0];
    if let (Some(field), Some(message)) = (error["field"].as_str(), error["message"].as_str()) {
        return Some(format!("{field} {message}"));
    }
    body["detail"].as_str().map(str::to_owned)
}
