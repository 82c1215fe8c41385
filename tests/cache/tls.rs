//! `rediss://`: the server has to prove who it is.

use std::time::{Duration, Instant};

use grantkeep_tests::TestApi;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::server::{Redis, builder};

/// A server for `localhost` with TLS, its URL, and the authority that vouches for it.
async fn secured() -> (Redis, String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["localhost".to_owned()])
        .and_then(|params| params.signed_by(&key, &authority))
        .expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    std::fs::write(path("cert"), certificate.pem()).expect("written");
    std::fs::write(path("key"), key.serialize_pem()).expect("written");

    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = free.local_addr().expect("address").port().to_string();
    drop(free);
    let (cert, key) = (path("cert"), path("key"));
    let redis = Redis::with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
    ])
    .await;
    (redis, format!("rediss://localhost:{port}"), authority.pem())
}

async fn cache(api: &TestApi) -> Value {
    api.get("/api/health").await.json()["cache"].clone()
}

#[tokio::test]
async fn rediss_is_encrypted_and_checks_the_servers_certificate() {
    let (_redis, url, authority) = secured().await;
    let known = builder(&url)
        .variable("REDIS_CA_CERT", &authority)
        .start()
        .await;
    let other = url.replace("localhost", "127.0.0.1");
    let other = builder(&other)
        .variable("REDIS_CA_CERT", &authority)
        .start()
        .await;
    let unknown = builder(&url).start().await;

    // A handshake of an unoptimised build on a busy machine may outlast the time limit.
    let began = Instant::now();
    while cache(&known).await["reachable"] != true {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{}",
            cache(&known).await
        );
    }
    for refused in [&other, &unknown] {
        let state = cache(refused).await;
        assert_eq!(state["reachable"], false, "{state}");
    }
}

#[test]
fn a_certificate_that_is_none_is_named() {
    let lookup = |name: &str| {
        let value = match name {
            "DATABASE_URL" => "postgres://u@127.0.0.1/d",
            "OAUTH_ENCRYPTION_KEY" => "b3h1bWJyZWxsYS1jb3JhbC1zZXZlbi1maXNoLTQyISE",
            "PUBLIC_URL" => "https://app.example",
            "REDIS_URL" => "rediss://redis.example",
            "REDIS_CA_CERT" => "canary",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let settings = grantkeep_core::settings::Settings::read(&[], &lookup).expect("settings");

    let error = grantkeep_core::App::new(settings)
        .err()
        .expect("refused")
        .to_string();

    assert!(
        error.starts_with("REDIS_CA_CERT must") && !error.contains("canary"),
        "{error}"
    );
}
