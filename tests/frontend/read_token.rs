use std::time::Duration;

use serde_json::{Value, json};

/// Why there is no token.
#[derive(Debug)]
pub enum NoToken {
    /// Only the user can put it right, at this address.
    SendUserTo(String),
    /// Anything else, with Grantkeep's code and what to do.
    Failed(String),
}

/// An access token of one of your users that works.
pub async fn access_token(
    http: &reqwest::Client,
    grantkeep: &str,
    key: &str,
    provider: &str,
    actor: &str,
) -> Result<String, NoToken> {
    let failed = |error: &dyn std::error::Error| NoToken::Failed(error.to_string());
    let answer = http
        .post(format!("{grantkeep}/api/token"))
        .bearer_auth(key)
        .header("content-type", "application/json")
        .body(json!({"provider": provider, "actor": actor}).to_string())
        .timeout(Duration::from_secs(35))
        .send()
        .await
        .map_err(|error| failed(&error))?;
    let body = answer.bytes().await.map_err(|error| failed(&error))?;
    let body: Value = serde_json::from_slice(&body).map_err(|error| failed(&error))?;
    match (&body["access_token"], &body["connect_url"]) {
        (Value::String(token), _) => Ok(token.clone()),
        (_, Value::String(url)) => Err(NoToken::SendUserTo(url.clone())),
        _ => Err(NoToken::Failed(format!(
            "{}: {}",
            body["code"], body["detail"]
        ))),
    }
}
