//! The code exchange: what is sent to the token endpoint, and what its answers become.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use grantkeep_demo_provider::client::{ClientAuth, DEMO_CLIENT_SECRET};
use grantkeep_tests::TestApi;
use grantkeep_tests::instance::{self, Process};
use serde_json::json;

use crate::scripted::{Scripted, callback};
use crate::support::{
    authorize, connected, consented, count, failed, get_with_cookies, outcome, problem,
};

async fn rows(api: &TestApi) -> String {
    count(api, "oauth_tokens").await
}

#[tokio::test]
async fn ex01_redirects_of_the_token_endpoint_are_not_followed() {
    let api = TestApi::start().await;
    for status in [301, 302, 307, 308] {
        api.provider
            .update(|knobs| knobs.redirect_token = Some(status));

        let done = consented(&api, &authorize("gmail")).await.finish().await;

        assert_eq!(outcome(&done), failed("provider_error"), "{status}");
    }
    let endpoints: Vec<String> = api
        .provider
        .requests()
        .into_iter()
        .map(|r| r.endpoint)
        .collect();
    assert!(!endpoints.contains(&"/moved".to_owned()), "{endpoints:?}");
    assert_eq!(rows(&api).await, "0");
}

#[tokio::test]
async fn ex01_a_silent_token_endpoint_is_given_up_within_ten_seconds() {
    let api = TestApi::start().await;
    api.provider.update(|knobs| knobs.delay_ms = 30_000);
    let mut flow = consented(&api, &authorize("gmail")).await;

    let began = Instant::now();
    let done = flow.finish().await;

    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(outcome(&done), failed("provider_unavailable"));
    assert_eq!(rows(&api).await, "0");
}

#[tokio::test]
async fn ex01_an_answer_of_16_mib_is_cut_off() {
    let api = TestApi::start().await;
    api.provider.update(|knobs| knobs.huge_body = true);

    let done = consented(&api, &authorize("gmail")).await.finish().await;

    assert_eq!(
        done.location_parameter("connection").as_deref(),
        Some("error")
    );
    assert_eq!(rows(&api).await, "0");
}

#[tokio::test]
async fn ex01_private_addresses_are_not_asked() {
    for address in [
        "https://10.0.0.1/token",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00::1]/token",
        "https://0.0.0.0/token",
    ] {
        let server = Scripted::start().await;
        let api = server.plain(json!({"token_endpoint": address})).await;

        let began = Instant::now();
        let done = callback(&api, "plain").await;

        assert_eq!(outcome(&done), failed("provider_unavailable"), "{address}");
        assert!(began.elapsed() < Duration::from_secs(2), "{address}");
    }
}

/// An https server whose certificate nobody vouches for, and how many bytes it was sent.
fn untrusted_server() -> (String, Arc<AtomicUsize>) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a key");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.expect("a key"))
        .expect("a certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let received = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&received);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("tls");
            let mut stream = rustls::StreamOwned::new(connection, stream);
            // A client that turns away closes the connection: nothing was sent then.
            if let Ok(bytes) = stream.read(&mut [0; 4096]) {
                counter.fetch_add(bytes, Ordering::Relaxed);
            }
        }
    });
    (format!("https://{address}/token"), received)
}

#[tokio::test]
async fn ex01_a_certificate_that_nobody_vouches_for_gets_no_secret() {
    let (endpoint, received) = untrusted_server();
    let server = Scripted::start().await;
    let api = server.plain(json!({"token_endpoint": endpoint})).await;

    let done = callback(&api, "plain").await;

    assert_eq!(outcome(&done), failed("provider_unavailable"));
    assert_eq!(received.load(Ordering::Relaxed), 0);
    let trusting = reqwest::Client::builder()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true);
    let trusting = trusting.build().expect("a client");
    // The server itself works: whoever trusts it gets through.
    drop(trusting.post(&endpoint).body("secret").send().await);
    assert!(received.load(Ordering::Relaxed) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ex01_proxies_of_the_environment_are_not_asked() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.set_expiry("gmail", -1).await;
    let mut variables = api.variables.clone();
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        // Nothing listens on port 1.
        variables.insert(name.to_owned(), "http://127.0.0.1:1".to_owned());
    }

    let process = Process::start("token", &variables).await;
    let reply = instance::get(&process.origin, "/api/token?provider=gmail").await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn ex02_basic_authentication_encodes_both_parts() {
    let server = Scripted::start().await;
    let basic = json!({"token_endpoint_auth_method": "client_secret_basic"});
    let api = server.plain_as("a:b", "p%@ss word", basic).await;

    let done = callback(&api, "plain").await;

    assert_eq!(outcome(&done), connected());
    let [seen] = &server.seen()[..] else {
        panic!("one request")
    };
    assert_eq!(
        seen.headers["authorization"],
        "Basic YSUzQWI6cCUyNSU0MHNzK3dvcmQ="
    );
    assert_eq!(seen.parameter("client_secret"), None);
    assert_eq!(seen.query, None);
}

#[tokio::test]
async fn ex02_the_secret_is_in_the_body_or_the_header_never_in_both_or_the_query() {
    let api = TestApi::builder()
        .provider(
            "google_calendar",
            json!({"token_endpoint_auth_method": "client_secret_basic"}),
        )
        .start()
        .await;
    api.connect("gmail").await;
    api.connect("google_calendar").await;

    let requests = api.provider.requests();
    let sent: Vec<ClientAuth> = requests
        .iter()
        .filter(|request| request.endpoint == "/token")
        .map(|request| request.client_auth)
        .collect();

    assert_eq!(sent, [ClientAuth::Post, ClientAuth::Basic]);
    for request in &requests {
        assert!(
            request
                .query
                .iter()
                .all(|(_, value)| value != DEMO_CLIENT_SECRET)
        );
    }
}

#[tokio::test]
async fn ex03_the_verifier_is_sent_once_and_only_where_a_challenge_was() {
    let api = TestApi::builder()
        .provider("google_calendar", json!({"code_challenge_method": "none"}))
        .start()
        .await;
    let mut with = consented(&api, &authorize("gmail")).await;
    let with_done = with.finish().await;
    let without = consented(&api, &authorize("google_calendar"))
        .await
        .finish()
        .await;

    let sent: Vec<bool> = api
        .provider
        .requests()
        .iter()
        .filter(|request| request.endpoint == "/token")
        .map(|request| request.has_code_verifier)
        .collect();

    assert_eq!(sent, [true, false]);
    assert_eq!(
        (outcome(&with_done), outcome(&without)),
        (connected(), connected())
    );
    assert_eq!(count(&api, "pending_authorizations").await, "0");
    assert!(with.browser.cookies.is_empty());
}

#[tokio::test]
async fn ex06_a_connection_that_cannot_be_refreshed_says_so() {
    let api = TestApi::start().await;
    api.provider.update(|knobs| knobs.omit_refresh_token = true);

    let done = api.connect("gmail").await;
    let list = api.get("/api/connections").await.json();
    let id = list["connections"][0]["id"].as_str().unwrap_or_default();
    let shown = api.get(&format!("/api/connections/{id}")).await.json();
    api.set_expiry("gmail", -1).await;
    let later = api.token("gmail").await;

    assert_eq!(outcome(&done), connected());
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["status_reason"], "expires_without_refresh");
    let warned = "connection_events where data->>'warning' = 'expires_without_refresh'";
    assert_eq!(count(&api, warned).await, "1");
    assert_eq!(
        problem(&later),
        (409, "reauthorization_required".to_owned())
    );
    assert_eq!(later.json()["reason"], "no_refresh_token");
}

#[tokio::test]
async fn ex06_a_new_consent_without_refresh_token_keeps_the_one_that_is_there() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.provider.update(|knobs| knobs.omit_refresh_token = true);
    api.connect("gmail").await;
    api.set_expiry("gmail", -1).await;

    let refreshed = api.token("gmail").await;

    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn ex07_a_failed_exchange_is_not_repeated_and_a_new_one_works() {
    let api = TestApi::start().await;
    api.provider.update(|knobs| knobs.token_status = Some(503));
    let mut flow = consented(&api, &authorize("gmail")).await;
    let cookies = flow.browser.cookie_header();

    let failed_once = flow.finish().await;
    let repeated = get_with_cookies(&api, &flow.callback, &cookies).await;
    let tries = api.provider.token_requests();
    api.provider.update(|knobs| knobs.token_status = None);
    let anew = consented(&api, &authorize("gmail")).await.finish().await;

    assert_eq!(outcome(&failed_once), failed("provider_unavailable"));
    assert_eq!(problem(&repeated), (400, "invalid_state".to_owned()));
    assert_eq!(tries, 1);
    assert_eq!(outcome(&anew), connected());
}

#[tokio::test]
async fn ex09_a_lifetime_counts_from_the_request_not_from_the_answer() {
    let api = TestApi::start().await;
    api.provider.update(|knobs| {
        knobs.delay_ms = 1_500;
        knobs.access_token_lifetime_s = 1_000;
    });

    api.connect("gmail").await;

    let sql = "select extract(epoch from expires_at - created_at)::float8::text from oauth_tokens";
    let left: f64 = api
        .text(sql)
        .await
        .and_then(|t| t.parse().ok())
        .expect("seconds");
    assert!((990.0..=998.6).contains(&left), "{left}");
}

#[tokio::test]
async fn refused_client_credentials_are_the_operators_matter() {
    let api = TestApi::builder()
        .variable("GOOGLE_CLIENT_SECRET", "wrong-secret-canary")
        .start()
        .await;

    let done = consented(&api, &authorize("gmail")).await.finish().await;

    assert_eq!(outcome(&done), failed("misconfigured"));
    assert!(!done.header("location").contains("canary"));
    assert_eq!(rows(&api).await, "0");
}
