//! Sharing the work out on AWS: the schedule puts messages into an SQS queue, each of which
//! has one invocation poll some of the mailboxes that are due. A message says how many, not
//! which: who polls what is decided by leases, so a message that is lost or comes twice
//! misses nothing and does nothing twice.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::app::App;
use crate::http::{Http, HttpError};
use crate::sigv4::{self, Credentials, Scope};
use crate::store::{StoreError, gmail_mailboxes};

/// Mailboxes for each message: a second or two of work, so that many share it evenly.
const MAILBOXES: usize = 500;
/// Messages that one schedule puts into the queue at the most.
const MESSAGES: usize = 1000;
/// As many as SQS takes at once.
const AT_ONCE: usize = 10;
/// For one call.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The queue of `POLL_QUEUE_URL`, as this process may write to it.
pub struct Queue {
    http: Http,
    url: Url,
    region: String,
    credentials: Credentials,
}

/// What is wrong with `POLL_QUEUE_URL`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidQueue {
    /// Not the address of a queue.
    #[error(
        "must be the https address of an SQS queue, such as \
         https://sqs.eu-central-1.amazonaws.com/123456789012/poll (http on loopback only)"
    )]
    Url,
    /// The address does not tell, nor does the environment.
    #[error("needs AWS_REGION, which AWS Lambda sets by itself")]
    Region,
    /// Nothing to sign with.
    #[error("needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which AWS Lambda sets by itself")]
    Credentials,
}

/// Why the queue took nothing.
#[derive(Debug, thiserror::Error)]
enum QueueError {
    #[error("SQS {0}")]
    Http(#[from] HttpError),
    #[error("SQS answered {0}")]
    Status(u16),
    #[error("SQS took none of the messages")]
    Nothing,
    #[error("an AWS credential cannot be sent in a header")]
    Malformed,
}

impl Queue {
    /// Of this address, with the region and credentials of the environment.
    pub fn new(
        url: &str,
        region: Option<String>,
        credentials: Option<Credentials>,
    ) -> Result<Self, InvalidQueue> {
        let url = Url::parse(url.trim())
            .ok()
            .filter(is_queue)
            .ok_or(InvalidQueue::Url)?;
        Ok(Self {
            // The service may have a private address, by an endpoint in a VPC.
            http: Http::anywhere(),
            url,
            region: region.ok_or(InvalidQueue::Region)?,
            credentials: credentials.ok_or(InvalidQueue::Credentials)?,
        })
    }

    /// Puts so many messages into the queue; how many it took.
    async fn send(&self, app: &App, count: usize) -> Result<u64, QueueError> {
        let message = json!({
            "method": "POST",
            "path": format!("/api/cron/poll?limit={MAILBOXES}"),
        });
        let entries: Vec<_> = (0..count)
            .map(|id| json!({"Id": id.to_string(), "MessageBody": message.to_string()}))
            .collect();
        let mut taken = 0;
        for entries in entries.chunks(AT_ONCE) {
            let body = json!({"QueueUrl": self.url.as_str(), "Entries": entries});
            match self.call(app, body.to_string().into_bytes()).await {
                Ok(more) => taken += more,
                Err(error) if taken == 0 => return Err(error),
                // What is left stays due, and the next schedule counts again.
                Err(error) => {
                    tracing::warn!(%error, "not all messages were queued");
                    break;
                }
            }
        }
        match taken {
            0 => Err(QueueError::Nothing),
            taken => Ok(taken),
        }
    }

    async fn call(&self, app: &App, body: Vec<u8>) -> Result<u64, QueueError> {
        #[derive(Deserialize)]
        struct Reply {
            #[serde(rename = "Successful", default)]
            successful: Vec<serde::de::IgnoredAny>,
        }
        let name = self.url.host_str().unwrap_or_default();
        let host = match self.url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        let headers = [
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", "AmazonSQS.SendMessageBatch".to_owned()),
        ];
        let scope = Scope {
            region: &self.region,
            service: "sqs",
        };
        let credentials = &self.credentials;
        let added = sigv4::sign(credentials, &scope, &host, &headers, &body, app.now());
        let mut request = http::Request::post(format!("{}://{host}/", self.url.scheme()));
        for (name, value) in headers.iter().chain(&added) {
            request = request.header(*name, value);
        }
        let request = request.body(body).map_err(|_| QueueError::Malformed)?;
        let answer = self.http.send(request, TIMEOUT).await?;
        if answer.status != 200 {
            return Err(QueueError::Status(answer.status));
        }
        let reply: Option<Reply> = serde_json::from_slice(&answer.body).ok();
        Ok(reply.map_or(0, |reply| reply.successful.len() as u64))
    }
}

fn is_queue(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let plain = url.path().len() > 1 && url.query().is_none() && url.username().is_empty();
    plain && (url.scheme() == "https" || url.scheme() == "http" && loopback)
}

/// Hands what is due over to the queue, if there is one; how many messages that took. `None`
/// without a queue, or if it cannot be reached: then the caller polls itself.
pub async fn share(app: &App) -> Result<Option<u64>, StoreError> {
    let Some(queue) = &app.settings.poll_queue else {
        return Ok(None);
    };
    let due = gmail_mailboxes::count_due(&app.store, (MAILBOXES * MESSAGES) as i64).await?;
    let due = usize::try_from(due).unwrap_or_default();
    let messages = due.div_ceil(MAILBOXES);
    if messages == 0 {
        return Ok(Some(0));
    }
    match queue.send(app, messages).await {
        Ok(taken) => Ok(Some(taken)),
        Err(error) => {
            tracing::error!(%error, "POLL_QUEUE_URL: nothing was queued, polling in this invocation");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_an_https_address_with_a_path() {
        let fits = |url: &str| Url::parse(url).is_ok_and(|url| is_queue(&url));

        assert!(fits(
            "https://sqs.eu-central-1.amazonaws.com/123456789012/poll"
        ));
        assert!(fits("http://127.0.0.1:4566/000000000000/poll"));
        for bad in [
            "http://sqs.eu-central-1.amazonaws.com/1/poll",
            "https://sqs.eu-central-1.amazonaws.com/",
            "https://sqs.example/1/poll?x=1",
            "https://user@sqs.example/1/poll",
            "ftp://127.0.0.1/1/poll",
        ] {
            assert!(!fits(bad), "{bad}");
        }
    }
}
