//! The answers that no function gives itself, as `application/problem+json`.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

/// The function panicked or broke off its answer.
pub fn internal() -> Response<Bytes> {
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        r#"{"type":"urn:grantkeep:error:internal","title":"Internal error","status":500,"detail":"The function failed unexpectedly. Try again; if it stays, the operator finds the place in the log.","code":"internal"}"#,
    )
}

/// The body is larger than the limit.
pub fn body_too_large() -> Response<Bytes> {
    problem(
        StatusCode::PAYLOAD_TOO_LARGE,
        "invalid_request",
        r#"{"type":"urn:grantkeep:error:invalid_request","title":"Invalid request","status":413,"detail":"The request body is larger than 1 MiB. Send a smaller one.","code":"invalid_request","errors":[{"field":"body","message":"larger than 1 MiB"}]}"#,
    )
}

/// The answer is larger than Lambda's limit.
pub fn answer_too_large() -> Response<Bytes> {
    problem(
        StatusCode::BAD_GATEWAY,
        "provider_error",
        r#"{"type":"urn:grantkeep:error:provider_error","title":"Provider error","status":502,"detail":"The answer is larger than 4.4 MiB, the most that this host passes on. Ask for a part of it, or for a smaller page.","code":"provider_error","provider_error":"answer_too_large"}"#,
    )
}

/// What arrived is no complete HTTP request.
pub fn unreadable() -> Response<Bytes> {
    problem(
        StatusCode::BAD_REQUEST,
        "invalid_request",
        r#"{"type":"urn:grantkeep:error:invalid_request","title":"Invalid request","status":400,"detail":"The request could not be read. Send it again.","code":"invalid_request","errors":[{"field":"request","message":"incomplete or malformed"}]}"#,
    )
}

fn problem(status: StatusCode, code: &'static str, body: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-grantkeep-error", HeaderValue::from_static(code));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{answer_too_large, body_too_large, internal, unreadable};

    #[test]
    fn every_problem_is_json_that_agrees_with_its_status() {
        for response in [
            internal(),
            body_too_large(),
            answer_too_large(),
            unreadable(),
        ] {
            let body: Value = serde_json::from_slice(response.body()).unwrap();

            assert_eq!(body["status"], response.status().as_u16());
            assert_eq!(
                body["type"],
                format!("urn:grantkeep:error:{}", body["code"].as_str().unwrap())
            );
            assert_eq!(
                body["code"],
                response.headers()["x-grantkeep-error"].to_str().unwrap()
            );
            assert!(body["detail"].is_string());
        }
    }
}
