//! What the mail API answered: JSON, or which kind of no.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::http::Answer;

/// The longest reason that is handed on, in characters.
const MAX_REASON: usize = 200;
/// Reasons of a 403 that mean "later", not "never".
const LIMITS: [&str; 4] = [
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "quotaExceeded",
    "dailyLimitExceeded",
];

/// The API said no.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// 404: there is no such message or thread, or the history is too old.
    #[error("the mailbox has nothing under this id")]
    NotFound,
    /// 400, 413 and the like: the same request gets the same answer. Nothing was done.
    #[error("the mail API refused the request: {reason}")]
    Invalid {
        /// Its words, made safe.
        reason: String,
    },
    /// 401 with a fresh token, or 403: this account may not. Nothing was done.
    #[error("the mail API does not allow it: {reason}")]
    Forbidden {
        /// HTTP status.
        status: u16,
        /// Its words, made safe.
        reason: String,
    },
    /// 429, or 403 because of a quota. Nothing was done.
    #[error("the mail API asks to wait")]
    Limited {
        /// In seconds, where it says so.
        retry_after: Option<u64>,
    },
    /// 5xx, or an answer that is none: whether it was done is not known.
    #[error("the mail API failed with status {status}")]
    Failed {
        /// HTTP status.
        status: u16,
        /// In seconds, where it says so.
        retry_after: Option<u64>,
    },
}

/// The body of a success.
pub fn read(answer: &Answer, now: DateTime<Utc>) -> Result<Value, Refused> {
    let failed = || Refused::Failed {
        status: answer.status,
        retry_after: answer.retry_after(now),
    };
    let body = serde_json::from_slice::<Value>(&answer.body);
    if (200..300).contains(&answer.status) {
        return body.map_err(|_| failed());
    }
    let error = body.map(|body| body["error"].clone()).unwrap_or_default();
    let reason = reason(&error, answer.status);
    let limited = error["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| error["reason"].as_str())
        .any(|reason| LIMITS.contains(&reason));
    Err(match answer.status {
        404 => Refused::NotFound,
        403 if limited => Refused::Limited {
            retry_after: answer.retry_after(now),
        },
        429 => Refused::Limited {
            retry_after: answer.retry_after(now),
        },
        status @ (401 | 403) => Refused::Forbidden { status, reason },
        400..500 => Refused::Invalid { reason },
        _ => failed(),
    })
}

/// The API's own words without anything that could break a line or a page.
fn reason(error: &Value, status: u16) -> String {
    let said = error["message"].as_str().unwrap_or_default();
    let safe: String = said
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_REASON)
        .collect();
    match safe.trim() {
        "" => format!("status {status}"),
        words => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use serde_json::json;

    use super::*;

    fn answered(status: u16, reason: &str) -> Refused {
        let body = json!({"error": {"message": "No\r\nway", "errors": [{"reason": reason}]}});
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("9"));
        let answer = Answer {
            status,
            headers,
            body: body.to_string().into_bytes(),
        };
        read(&answer, DateTime::UNIX_EPOCH).expect_err("a refusal")
    }

    #[test]
    fn a_quota_is_told_from_a_ban_and_a_failure_from_a_refusal() {
        let reason = "Noway".to_owned();
        let limited = Refused::Limited {
            retry_after: Some(9),
        };

        assert_eq!(answered(403, "rateLimitExceeded"), limited);
        assert_eq!(answered(403, "userRateLimitExceeded"), limited);
        assert_eq!(answered(429, "rateLimitExceeded"), limited);
        assert_eq!(
            answered(403, "domainPolicy"),
            Refused::Forbidden {
                status: 403,
                reason: reason.clone()
            }
        );
        assert_eq!(answered(400, "invalid"), Refused::Invalid { reason });
        assert_eq!(answered(404, "notFound"), Refused::NotFound);
        let failed = Refused::Failed {
            status: 503,
            retry_after: Some(9),
        };
        assert_eq!(answered(503, "backendError"), failed);
    }
}
