//! Delivering events to the webhook endpoint, at least once and signed as Standard
//! Webhooks. What waits, and until when, is in the rows; nothing is kept here.

mod endpoint;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::SecondsFormat;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use endpoint::{Endpoint, EndpointError, parse_secrets, parse_url};

use crate::app::App;
use crate::http::HttpError;
use crate::store::connection_events::outbox::{self, Due, MAX_AGE, Outcome};
use crate::store::{StoreError, disabled_webhooks};
use crate::tokens::pause::jitter;

/// How long the endpoint may take for one event.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So many are sent at once.
const BATCH: i64 = 16;
/// Nobody else takes a claimed event for so many seconds: longer than a batch takes.
const LEASE: f64 = 30.0;
/// There is no use in beginning with less time than this.
const LEAST: Duration = Duration::from_millis(500);
/// What a request that wrote an event spends on its delivery.
const OF_A_REQUEST: Duration = Duration::from_secs(2);
/// Requests do not wait for an endpoint that failed so shortly before.
const REST: Duration = Duration::from_secs(30);
/// The longest time between two attempts, in seconds.
const MAX_WAIT: f64 = 12.0 * 3600.0;

/// What one run did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Deliveries {
    /// Taken by the endpoint.
    pub delivered: u32,
    /// Not taken; tried again later.
    pub failed: u32,
    /// Not taken for three days.
    pub given_up: u32,
    /// The endpoint answered 410 Gone, now or before, and is not called.
    pub disabled: bool,
}

/// When the requests of this instance leave the endpoint alone.
#[derive(Default)]
pub struct Rest(Mutex<Option<Instant>>);

impl Rest {
    fn is_over(&self) -> bool {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| until <= Instant::now())
    }

    fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
    }
}

/// Delivers what is due, oldest first, until nothing is left, the endpoint takes nothing
/// more, or `until` comes near. Any number of instances may do so at once.
pub async fn deliver(app: &App, until: Instant) -> Result<Deliveries, StoreError> {
    let mut done = Deliveries::default();
    let Some(endpoint) = &app.settings.webhook else {
        return Ok(done);
    };
    let hash = endpoint.url_hash();
    if disabled_webhooks::since(&app.store, &hash).await?.is_some() {
        done.disabled = true;
        return Ok(done);
    }
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left < LEAST {
            return Ok(done);
        }
        let due = outbox::claim(&app.store, BATCH, LEASE).await?;
        if due.is_empty() {
            return Ok(done);
        }
        let sent = send_all(app, due, TIMEOUT.min(left)).await;
        let gone = sent.iter().any(|(_, result)| *result == Err(Refusal::Gone));
        let delivered = done.delivered;
        let outcomes = sent
            .into_iter()
            .map(|(event, result)| (event.id, outcome(app, &event, result, &mut done)))
            .collect::<Vec<_>>();
        outbox::record(&app.store, &outcomes).await?;
        if gone {
            if disabled_webhooks::insert(&app.store, &hash).await? {
                let host = endpoint.host();
                tracing::error!(event = "webhook_disabled", host, "it answered 410 Gone");
            }
            done.disabled = true;
            return Ok(done);
        }
        if done.delivered == delivered {
            return Ok(done);
        }
    }
}

/// Delivers what this request has just caused, so that an alert does not wait for a
/// schedule that may be a day away. Costs nothing where no event was written, and two
/// seconds at the most; what is not taken by then is delivered by the schedule.
pub async fn deliver_news(app: &App) {
    if !app.store.take_news() || app.settings.webhook.is_none() || !app.webhook_rest.is_over() {
        return;
    }
    match deliver(app, Instant::now() + OF_A_REQUEST).await {
        Ok(Deliveries {
            failed: 0,
            given_up: 0,
            disabled: false,
            ..
        }) => {}
        Ok(_) => app.webhook_rest.begin(),
        Err(error) => tracing::warn!(%error, "webhooks not delivered"),
    }
}

/// Why the endpoint did not take an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refusal {
    /// 410: it wants nothing more.
    Gone,
    /// Any status but 2xx; with the seconds that it asks to wait.
    Status(u16, Option<u64>),
    /// No answer.
    NoAnswer(HttpError),
}

/// Sends every event; in the order of `due`.
async fn send_all(app: &App, due: Vec<Due>, timeout: Duration) -> Vec<(Due, Result<(), Refusal>)> {
    let mut sending = JoinSet::new();
    for (index, event) in due.into_iter().enumerate() {
        let app = app.clone();
        sending.spawn(async move {
            let result = send(&app, &event, timeout).await;
            (index, event, result)
        });
    }
    let mut sent = sending.join_all().await;
    sent.sort_by_key(|(index, ..)| *index);
    sent.into_iter()
        .map(|(_, event, result)| (event, result))
        .collect()
}

async fn send(app: &App, event: &Due, timeout: Duration) -> Result<(), Refusal> {
    let malformed = Refusal::NoAnswer(HttpError::Malformed);
    let endpoint = app.settings.webhook.as_ref().ok_or(malformed)?;
    let body = body(event);
    let (id, now) = (event.id.to_string(), app.now().timestamp());
    let request = http::Request::post(endpoint.url().as_str())
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", now)
        .header("webhook-signature", endpoint.sign(&id, now, &body))
        .body(body)
        .map_err(|_| malformed)?;
    let answer = app
        .http
        .send_for_status(request, timeout)
        .await
        .map_err(Refusal::NoAnswer)?;
    match answer.status {
        200..300 => Ok(()),
        410 => Err(Refusal::Gone),
        status => Err(Refusal::Status(status, answer.retry_after(app.now()))),
    }
}

/// The account is left out: it is usually an e-mail address, and whoever needs it can ask
/// for the connection.
fn body(event: &Due) -> Vec<u8> {
    let mut data = match &event.data {
        Value::Object(members) => members.clone(),
        _ => Map::new(),
    };
    data.insert("connection_id".to_owned(), json!(event.connection_id));
    data.insert("provider".to_owned(), json!(event.provider));
    data.insert("workspace".to_owned(), json!(event.workspace));
    data.insert("actor".to_owned(), json!(event.actor));
    let timestamp = event
        .created_at
        .to_rfc3339_opts(SecondsFormat::Micros, true);
    json!({"type": event.kind, "timestamp": timestamp, "data": data})
        .to_string()
        .into_bytes()
}

fn outcome(app: &App, event: &Due, result: Result<(), Refusal>, done: &mut Deliveries) -> Outcome {
    let (error, asked) = match result {
        Ok(()) => {
            done.delivered += 1;
            return Outcome::Delivered;
        }
        Err(Refusal::Gone) => ("status 410".to_owned(), None),
        Err(Refusal::Status(status, asked)) => (format!("status {status}"), asked),
        Err(Refusal::NoAnswer(error)) => (error.to_string(), None),
    };
    let wait = wait(event.attempts, asked, jitter(app));
    let (kind, attempts) = (&event.kind, event.attempts);
    if event.age + wait > MAX_AGE {
        done.given_up += 1;
        tracing::error!(event = "webhook_given_up", id = %event.id, kind, attempts, error);
        return Outcome::GivenUp { error };
    }
    done.failed += 1;
    tracing::warn!(event = "webhook_failed", id = %event.id, kind, attempts, error);
    Outcome::Again { error, wait }
}

/// Seconds until the next attempt: 5, 20, 80, … up to twelve hours, or what the endpoint
/// asked for if that is longer, within a day. `jitter` keeps many from coming back at once.
fn wait(attempts: i32, asked: Option<u64>, jitter: f64) -> f64 {
    let backoff = (5.0 * 4_f64.powi((attempts - 1).clamp(0, 10))).min(MAX_WAIT);
    let asked = asked.unwrap_or_default().min(86_400) as f64;
    (backoff * jitter).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wh01_attempts_are_spread_over_days() {
        let waits: Vec<f64> = (1..=12).map(|attempts| wait(attempts, None, 1.0)).collect();

        assert_eq!(&waits[..3], [5.0, 20.0, 80.0]);
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        let within = |days: f64| {
            let mut age = 0.0;
            let tries = waits.iter().take_while(|wait| {
                age += **wait;
                age <= days * 86_400.0
            });
            tries.count()
        };
        assert!(within(1.0) >= 8 && within(3.0) >= 11, "{waits:?}");
    }

    #[test]
    fn wh01_the_endpoint_may_ask_for_a_longer_wait_and_not_for_a_shorter_one() {
        assert_eq!(wait(1, Some(120), 0.75), 120.0);
        assert_eq!(wait(3, Some(1), 1.25), 100.0);
        assert_eq!(wait(1, Some(u64::MAX), 1.25), 86_400.0);
    }
}
