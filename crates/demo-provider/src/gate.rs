//! What every call of an API passes before it is performed: the faults that are turned on, the
//! bearer token, and its scopes. Refusals have the shape of Google's.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::account::Account;
use crate::knobs::ApiFault;
use crate::token::LostAnswer;
use crate::world::{Shared, World};

/// A method of an API.
pub(crate) struct Method {
    /// As the API's reference calls it, for example `gmail.users.messages.list`.
    pub(crate) name: &'static str,
    /// Any one of these opens it.
    pub(crate) scopes: &'static [&'static str],
}

/// Whose token a call carries.
pub(crate) struct Caller {
    pub(crate) account: &'static Account,
    pub(crate) granted: Vec<String>,
}

impl Caller {
    /// Whether any of these scopes was granted.
    pub(crate) fn has_any(&self, scopes: &[&str]) -> bool {
        let fits = |scope: &String| scopes.contains(&scope.as_str());
        self.granted.iter().any(fits)
    }
}

/// An error answer, before it is written.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) reason: &'static str,
    pub(crate) retry_after: Option<String>,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Refusal {
        Refusal {
            status,
            message: message.into(),
            reason,
            retry_after: None,
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "invalidArgument", message)
    }

    pub(crate) fn not_found() -> Refusal {
        let message = "Requested entity was not found.";
        Refusal::new(StatusCode::NOT_FOUND, "notFound", message)
    }

    pub(crate) fn forbidden(reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, reason, message)
    }

    fn of_fault(fault: ApiFault) -> Refusal {
        let (status, reason, message) = match fault {
            ApiFault::TooManyRequests => (
                429,
                "rateLimitExceeded",
                "Too many concurrent requests for user",
            ),
            ApiFault::RateLimitExceeded => (403, "rateLimitExceeded", "Rate Limit Exceeded"),
            ApiFault::UserRateLimitExceeded => (
                403,
                "userRateLimitExceeded",
                "User Rate Limit Exceeded. Rate of requests for user exceed configured project quota.",
            ),
            ApiFault::DomainPolicy => (
                403,
                "domainPolicy",
                "The domain administrators have disabled Gmail apps.",
            ),
            ApiFault::InternalError | ApiFault::LostAnswer => {
                (500, "backendError", "Internal error encountered.")
            }
            ApiFault::Unavailable => (503, "backendError", "The service is currently unavailable."),
        };
        let status = StatusCode::from_u16(status).unwrap_or_default();
        Refusal::new(status, reason, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut error = json!({
            "message": self.message, "domain": "global", "reason": self.reason,
        });
        let status = match self.status.as_u16() {
            400 | 413 => "INVALID_ARGUMENT",
            401 => {
                error["location"] = "Authorization".into();
                error["locationType"] = "header".into();
                "UNAUTHENTICATED"
            }
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            _ => "INTERNAL",
        };
        let message = match self.status {
            StatusCode::UNAUTHORIZED => {
                "Request had invalid authentication credentials. Expected OAuth 2 access token, \
                 login cookie or other valid authentication credential."
            }
            _ => &self.message,
        };
        let body = json!({"error": {
            "code": self.status.as_u16(), "message": message, "errors": [error], "status": status,
        }});
        let mut headers = HeaderMap::new();
        if let Some(Ok(value)) = self.retry_after.as_deref().map(HeaderValue::from_str) {
            headers.insert(header::RETRY_AFTER, value);
        }
        let problem = match (self.status.as_u16(), self.reason) {
            (401, _) => Some("invalid_token"),
            (403, "insufficientPermissions" | "forbidden") => Some("insufficient_scope"),
            _ => None,
        };
        if let Some(problem) = problem
            && let Ok(challenge) = HeaderValue::try_from(format!(
                "Bearer realm=\"https://accounts.example.test/\", error=\"{problem}\""
            ))
        {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        (self.status, headers, Json(body)).into_response()
    }
}

/// The 401 of a token that is missing, unknown, expired or revoked.
pub(crate) fn unauthenticated() -> Refusal {
    let status = StatusCode::UNAUTHORIZED;
    Refusal::new(status, "authError", "Invalid Credentials")
}

/// Performs a call, if nothing is against it; `null` is answered as 204.
pub(crate) async fn call(
    shared: &Shared,
    headers: &HeaderMap,
    method: &Method,
    perform: impl FnOnce(&mut World, &Caller) -> Result<Value, Refusal>,
) -> Response {
    let (delay, fault, retry_after) = {
        let mut world = shared.world();
        world.count_call(method.name);
        let account = live(&world, headers).ok().map(|caller| caller.account);
        let fault = world.begin_api_call(account);
        let knobs = &world.knobs;
        (knobs.api_delay_ms, fault, knobs.api_retry_after.clone())
    };
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    if let Some(fault) = fault.filter(|fault| *fault != ApiFault::LostAnswer) {
        let mut refusal = Refusal::of_fault(fault);
        refusal.retry_after = retry_after;
        return refusal.into_response();
    }
    let mut answer =
        perform_now(shared, headers, method, perform).unwrap_or_else(IntoResponse::into_response);
    let delay = shared.world().knobs.api_answer_delay_ms;
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    if fault.is_some() {
        answer.extensions_mut().insert(LostAnswer);
    }
    answer
}

fn perform_now(
    shared: &Shared,
    headers: &HeaderMap,
    method: &Method,
    perform: impl FnOnce(&mut World, &Caller) -> Result<Value, Refusal>,
) -> Result<Response, Refusal> {
    let mut world = shared.world();
    let caller = live(&world, headers)?;
    if !caller.has_any(method.scopes) {
        return Err(Refusal::forbidden(
            "insufficientPermissions",
            "Request had insufficient authentication scopes.",
        ));
    }
    Ok(match perform(&mut world, &caller)? {
        Value::Null => StatusCode::NO_CONTENT.into_response(),
        body => Json(body).into_response(),
    })
}

/// Whose live token the request carries.
pub(crate) fn live(world: &World, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let token = bearer(headers).ok_or_else(unauthenticated)?;
    let rejected = &world.knobs.rejected_access_tokens;
    match world.live_access_token(token) {
        Some((account, granted)) if !rejected.iter().any(|rejected| rejected == token) => {
            Ok(Caller {
                account,
                granted: granted.to_vec(),
            })
        }
        _ => Err(unauthenticated()),
    }
}

/// The bearer token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}
