//! Input that no handler should see: odd paths, methods, bodies and headers. Every refusal
//! is a problem (RFC 9457).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use grantkeep_tests::api::{KEY, session};
use grantkeep_tests::http::send;
use grantkeep_tests::{Reply, TestApi};
use serde_json::json;

use crate::support::{authorize, problem, text};

fn invalid(status: u16) -> (u16, String) {
    (status, "invalid_request".to_owned())
}

async fn post(api: &TestApi, path: &str, body: impl Into<reqwest::Body>) -> Reply {
    let request = api
        .request("POST", path)
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(body);
    send(request).await
}

/// Bytes as they are, which no HTTP library would send; the answer's status.
fn raw(origin: &str, request: &[u8]) -> u16 {
    let address = origin.strip_prefix("http://").expect("an origin");
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.write_all(request).expect("writes");
    let mut answer = Vec::new();
    // The server may reset a connection that it has refused; what it said before counts.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn hi01_line_breaks_and_nul_reach_no_header() {
    let api = TestApi::start().await;
    let session = session("default", "default");

    for bad in [
        "%0d%0aX-Evil:%201",
        "%0aX-Evil:1",
        "%00",
        "%0d",
        "/x%0d%0aSet-Cookie:a=b",
    ] {
        for path in [
            format!("{}&return_to={bad}", authorize("gmail")),
            format!("{}&account={bad}", authorize("gmail")),
            format!("{}&scope={bad}", authorize("gmail")),
            format!("/api/token?provider=gmail&actor={bad}"),
            format!("/api/token?provider=gmail&workspace={bad}"),
            format!("/api/token?provider=gmail&account={bad}"),
            format!("/api/connections?actor={bad}"),
        ] {
            let reply = api.get(&path).await;
            assert_eq!(reply.status, 400, "{path}: {}", reply.text);
            assert!(!reply.headers.contains_key("x-evil"), "{path}");
        }
        // Where such a value is only looked up, it is not found.
        let page = api
            .get(&format!(
                "/connect?connection=connected&provider={bad}&account={bad}"
            ))
            .await;
        assert!(page.status < 500 && !page.headers.contains_key("x-evil"));
    }
    for header in [
        "Host: a\0b",
        "Cookie: a\0=b",
        "X-Forwarded-Host: a\0b",
        "Bad Name: x",
    ] {
        let request = format!(
            "GET /api/oauth/gmail/authorize?session={session} HTTP/1.1\r\n{header}\r\n\
             Connection: close\r\n\r\n"
        );
        assert_eq!(raw(&api.origin, request.as_bytes()), 400, "{header:?}");
    }
    assert_eq!(api.get("/api/health").await.status, 200);
}

#[tokio::test]
async fn hi01_a_token_with_a_line_break_panics_nowhere() {
    let server = crate::scripted::Scripted::start().await;
    let api = server
        .plain(json!({
            "userinfo_endpoint": format!("{}/userinfo", server.origin()),
            "account": {"source": "userinfo", "id": "/sub"},
        }))
        .await;
    let set = json!({"access_token": "a\r\nX-Evil: 1", "token_type": "Bearer"});
    server.answers(crate::scripted::Answer::json(&set));

    let done = crate::scripted::callback(&api, "plain").await;

    assert_eq!(
        crate::support::outcome(&done),
        crate::support::failed("provider_error")
    );
}

#[tokio::test]
async fn hi02_ids_in_paths_are_uuids_and_nothing_else() {
    let api = TestApi::start().await;
    let long = "a".repeat(5_000);

    for id in [
        "..",
        "%2e%2e",
        "%2e%2e%2ftoken",
        "..%2f..%2fetc%2fpasswd",
        "1",
        "'%20or%201=1--",
        "00000000-0000-0000-0000-00000000000g",
        "%00",
        "%ff",
        &long,
    ] {
        for method in ["GET", "DELETE", "PATCH"] {
            let path = format!("/api/connections/{id}");
            let reply = api
                .send_json(method, &path, &json!({"status": "active"}))
                .await;
            assert!(
                [400, 404, 405].contains(&reply.status),
                "{method} {id}: {} {}",
                reply.status,
                reply.text
            );
            assert_eq!(reply.header("content-type"), "application/problem+json");
        }
    }
    for provider in ["..", "%2e%2e%2f", "gmail%2f..", "GMAIL", &long, "%ff"] {
        let path = format!("/api/oauth/{provider}/authorize");
        let reply = api.get(&path).await;
        assert!(
            [400, 404].contains(&reply.status),
            "{provider}: {}",
            reply.text
        );
    }
}

#[tokio::test]
async fn every_refusal_is_a_problem_with_the_five_members() {
    let api = TestApi::start().await;

    for (path, status, code) in [
        ("/api/token?provider=gmail", 404, "not_connected"),
        ("/api/token?provider=nothing", 404, "unknown_provider"),
        ("/api/token", 400, "invalid_request"),
        ("/api/nothing", 404, "invalid_request"),
        ("/api/connections?limit=0", 400, "invalid_request"),
        ("/api/oauth/gmail/callback", 400, "invalid_state"),
        ("/api/oauth/gmail/authorize", 401, "unauthorized"),
        ("/api/oauth/gmail/authorize?link=x", 400, "invalid_state"),
    ] {
        let reply = api.get(path).await;
        let json = reply.json();

        assert_eq!(problem(&reply), (status, code.to_owned()), "{path}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(json["type"], format!("urn:grantkeep:error:{code}"));
        assert_eq!(json["status"], status);
        for member in ["title", "detail"] {
            assert!(!text(&json[member]).is_empty(), "{path} {member}");
        }
        if reply.status == 400 && code == "invalid_request" {
            let error = &json["errors"][0];
            assert!(
                error["field"].is_string() && error["message"].is_string(),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    let api = TestApi::start().await;
    for (method, path, allowed) in [
        ("DELETE", "/api/token", "GET,HEAD,POST"),
        ("GET", "/api/connect-links", "POST"),
        ("PUT", "/api/connections", "GET,HEAD"),
        ("POST", "/api/connections/1", "GET,HEAD"),
        ("POST", "/api/oauth/gmail/authorize", "GET,HEAD"),
        ("DELETE", "/api/oauth/gmail/callback", "GET,HEAD,POST"),
        ("POST", "/api/health", "GET,HEAD"),
        ("DELETE", "/connect", "GET,HEAD,POST"),
    ] {
        let reply = api.send_json(method, path, &json!({})).await;

        assert_eq!(problem(&reply), invalid(405), "{method} {path}");
        let allow = reply.header("allow").to_owned();
        assert!(allow.starts_with(allowed), "{method} {path}: {allow}");
    }
}

#[tokio::test]
async fn a_body_is_json_of_at_most_1_mib() {
    let api = TestApi::start().await;
    let large = format!("{{\"provider\":\"{}\"}}", "a".repeat(1024 * 1024));

    for path in ["/api/token", "/api/connect-links"] {
        assert_eq!(
            problem(&post(&api, path, large.clone()).await),
            invalid(413),
            "{path}"
        );
        for (body, field) in [
            ("", "body"),
            ("{", "body"),
            ("[]", "body"),
            ("{}", "body"),
            ("{\"provider\":7}", "provider"),
            ("{\"provider\":\"gmail\",\"actor\":{}}", "actor"),
            ("{\"provider\":\"gmail\"} trailing", "body"),
        ] {
            let reply = post(&api, path, body).await;
            assert_eq!(problem(&reply), invalid(400), "{path} {body}");
            assert_eq!(reply.json()["errors"][0]["field"], field, "{path} {body}");
        }
        let deep = format!("{{\"provider\":{}", "[".repeat(200_000));
        assert_eq!(
            problem(&post(&api, path, deep).await),
            invalid(400),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_refusal_never_repeats_a_value() {
    let api = TestApi::start().await;
    for body in [
        json!({"provider": ["canary"], "rejected": "canary"}),
        json!({"provider": "gmail", "rejected": ["canary"]}),
        json!({"provider": "gmail", "format": "canary"}),
        json!({"provider": "gmail", "mode": "canary"}),
    ] {
        let reply = api.send_json("POST", "/api/token", &body).await;

        assert_eq!(problem(&reply), invalid(400), "{body}");
        assert!(!reply.text.contains("canary"), "{}", reply.text);
    }
}

#[tokio::test]
async fn parameters_are_given_once_and_have_at_most_255_characters() {
    let api = TestApi::start().await;
    let long = "a".repeat(256);
    for query in [
        "provider=gmail&provider=gmail",
        "provider=gmail&actor=a&actor=b",
        "provider=gmail&format=xml",
        "provider=gmail&mode=loose",
        "provider=",
        &format!("provider=gmail&actor={long}"),
        &format!("provider=gmail&workspace={long}"),
        &format!("provider=gmail&account={long}"),
    ] {
        let reply = api.get(&format!("/api/token?{query}")).await;

        assert_eq!(problem(&reply), invalid(400), "{query}");
    }
}

#[tokio::test]
async fn https_answers_carry_hsts_and_loopback_ones_do_not() {
    let secure = TestApi::builder()
        .variable("PUBLIC_URL", "https://auth.example")
        .start()
        .await;
    let local = TestApi::start().await;

    for path in [
        "/api/health",
        "/api/token?provider=gmail",
        "/connect",
        "/nothing",
    ] {
        let over_https = secure.get(path).await;
        assert_eq!(
            over_https.header("strict-transport-security"),
            "max-age=31536000"
        );
        let over_http = local.get(path).await;
        assert_eq!(over_http.header("strict-transport-security"), "");
    }
}

#[tokio::test]
async fn what_hosts_add_to_the_query_does_no_harm() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    let begun = api
        .visitor()
        .get(&format!("{}&provider=evil", authorize("gmail")))
        .await;
    let health = api.get("/api/health?path=x&id=y&provider=z").await;
    let id = crate::support::connection_id(&api, "gmail").await;
    let shown = api.get(&format!("/api/connections/{id}?id={id}")).await;

    assert_eq!((begun.status, health.status, shown.status), (302, 200, 200));
}
