//! Steering over HTTP, discovery, and the life of a server.

use grantkeep_demo_provider::{DemoProvider, ExpiresIn, Knobs, Recorded};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Demo};

async fn patch(demo: &Demo, body: &Value) -> Answer {
    Answer::of(demo.http.patch(demo.url("/control/knobs")).json(body)).await
}

async fn send(demo: &Demo, method: Method, path: &str) -> u16 {
    Answer::of(demo.http.request(method, demo.url(path)))
        .await
        .status
}

#[tokio::test]
async fn knobs_are_merged_over_http_and_null_restores_the_default() {
    let demo = Demo::start().await;

    let answer = patch(
        &demo,
        &json!({"expires_in": "string", "extra_members": {"a": 1}}),
    )
    .await;
    assert_eq!(answer.status, 200);
    patch(&demo, &json!({"extra_members": {"b": 2}, "delay_ms": 5})).await;
    let shown: Knobs = serde_json::from_str(&demo.get("/control/knobs").await.text).unwrap();

    assert_eq!(shown, demo.provider.knobs());
    assert_eq!((shown.expires_in, shown.delay_ms), (ExpiresIn::String, 5));
    assert_eq!(Value::Object(shown.extra_members), json!({"a": 1, "b": 2}));

    let all: serde_json::Map<_, _> = serde_json::to_value(Knobs::default())
        .unwrap()
        .as_object()
        .unwrap()
        .keys()
        .map(|name| (name.clone(), Value::Null))
        .collect();
    patch(&demo, &Value::Object(all)).await;
    assert_eq!(demo.provider.knobs(), Knobs::default());
}

#[tokio::test]
async fn a_misspelt_knob_or_value_is_refused_and_changes_nothing() {
    let demo = Demo::start().await;

    for wrong in [
        json!({"delay": 5}),
        json!({"expires_in": "later"}),
        json!([]),
    ] {
        let answer = patch(&demo, &wrong).await;
        assert_eq!(
            answer.refusal(),
            (400, "invalid_request".to_owned()),
            "{wrong}"
        );
    }

    assert!(
        patch(&demo, &json!({"delay": 5}))
            .await
            .text
            .contains("delay")
    );
    assert_eq!(demo.provider.knobs(), Knobs::default());
}

#[tokio::test]
async fn requests_are_shown_and_forgotten_over_http() {
    let demo = Demo::start().await;
    demo.exchanged().await;

    let shown: Vec<Recorded> =
        serde_json::from_str(&demo.get("/control/requests").await.text).unwrap();
    assert_eq!(shown, demo.provider.requests());
    assert_eq!(shown.len(), 2, "control requests are not recorded");

    assert_eq!(send(&demo, Method::DELETE, "/control/requests").await, 204);
    assert!(demo.provider.requests().is_empty());
}

#[tokio::test]
async fn access_tokens_expire_and_grants_die_over_http() {
    let demo = Demo::start().await;
    let issued = demo.issued();

    assert_eq!(
        send(&demo, Method::POST, "/control/expire-access-tokens").await,
        204
    );
    assert_eq!(
        demo.get_as(&issued.access_token, "/api/whoami")
            .await
            .status,
        401
    );
    assert_eq!(demo.refresh(&issued.refresh_token).await.status, 200);

    assert_eq!(send(&demo, Method::POST, "/control/kill-grants").await, 204);
    assert_eq!(
        demo.refresh(&issued.refresh_token).await.refusal().1,
        "invalid_grant"
    );
}

#[tokio::test]
async fn discovery_names_endpoints_that_exist_and_agrees_with_settings() {
    let demo = Demo::start().await;
    let settings = demo.provider.settings();

    for path in [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ] {
        let metadata = demo.get(path).await.json();
        for provider in ["gmail", "google_calendar", "outlook"] {
            for (name, value) in settings[provider].as_object().unwrap() {
                if name != "api_base" {
                    assert_eq!(value, &metadata[name], "{name}");
                }
            }
        }
    }
    for (name, value) in settings["gmail"].as_object().unwrap() {
        if !matches!(name.as_str(), "issuer" | "api_base") {
            let answer = Answer::of(demo.http.get(value.as_str().unwrap())).await;
            assert_ne!(answer.status, 404, "{name}");
        }
    }
}

#[tokio::test]
async fn the_api_bases_lead_to_the_apis() {
    let demo = Demo::start().await;
    let settings = demo.provider.settings();
    let token = demo.issued().access_token;

    for (provider, path, status) in [
        ("gmail", "/gmail/v1/users/me/profile", 200),
        ("google_calendar", "/calendars/primary/events", 403),
        ("outlook", "/api/whoami", 200),
    ] {
        let base = settings[provider]["api_base"].as_str().unwrap();
        let http = demo.http.get(format!("{base}{path}")).bearer_auth(&token);
        assert_eq!(Answer::of(http).await.status, status, "{provider}");
    }
}

#[tokio::test]
async fn dropping_the_handle_stops_the_server_and_frees_the_port() {
    let demo = Demo::start().await;
    let url = demo.url("/jwks");
    let port = url::Url::parse(&url).unwrap().port().unwrap();
    assert!(
        DemoProvider::start_on(port).await.is_err(),
        "taken while it runs"
    );

    let Demo { provider, http } = demo;
    drop(provider);

    assert!(http.get(&url).send().await.is_err());
    let again = DemoProvider::start_on(port)
        .await
        .expect("the port is free");
    assert_eq!(again.origin(), format!("http://127.0.0.1:{port}"));
}

#[tokio::test]
async fn a_test_that_blocks_its_thread_does_not_block_the_server() {
    use std::io::{Read, Write};

    let demo = Demo::start().await;
    let address = demo
        .provider
        .origin()
        .trim_start_matches("http://")
        .to_owned();

    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /jwks HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();

    assert!(answer.starts_with("HTTP/1.1 200"));
}
