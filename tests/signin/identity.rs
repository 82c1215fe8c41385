//! An identity provider of the host application: keys of every kind, published as a test says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantkeep_tests::{TestApi, TestApiBuilder};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const ISSUER: &str = "https://id.app.test/";
pub const AUDIENCE: &str = "grantkeep-of-app";

/// Seconds since 1970, so many from now.
pub fn in_seconds(seconds: i64) -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock");
    i64::try_from(since.as_secs()).expect("a time") + seconds
}

/// What a good session says.
pub fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "user_1", "org": "acme",
        "iat": in_seconds(-5), "exp": in_seconds(300),
    })
}

/// Length of what stands before a 2048 bit RSA key in PKCS #8 (RFC 5208).
const PKCS8_HEADER: usize = 26;

/// A key pair.
pub struct Signer {
    pub key: EncodingKey,
    pub jwk: Value,
    pub algorithm: Algorithm,
}

impl Signer {
    pub fn rs256(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let private = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der>::as_der(&pair).expect("a key");
        let public = pair.public_key();
        let number = |bytes: &[u8]| {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            URL_SAFE_NO_PAD.encode(&bytes[zeros..])
        };
        Self {
            // What is read here is the RSAPrivateKey within, behind what says that it is one.
            key: EncodingKey::from_rsa_der(&private.as_ref()[PKCS8_HEADER..]),
            jwk: json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
                "n": number(public.modulus().big_endian_without_leading_zero()),
                "e": number(public.exponent().big_endian_without_leading_zero()),
            }),
            algorithm: Algorithm::RS256,
        }
    }

    pub fn es256(kid: &str) -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).expect("a key");
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        Self {
            key: EncodingKey::from_ec_der(pkcs8.as_ref()),
            jwk: json!({
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
                "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
            }),
            algorithm: Algorithm::ES256,
        }
    }

    pub fn ed25519(kid: &str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
        Self {
            key: EncodingKey::from_ed_der(pkcs8.as_ref()),
            jwk: json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid,
                "x": URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
            }),
            algorithm: Algorithm::EdDSA,
        }
    }

    pub fn header(&self) -> Header {
        Header {
            kid: self.jwk["kid"].as_str().map(str::to_owned),
            ..Header::new(self.algorithm)
        }
    }

    pub fn sign(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&self.header(), claims, &self.key).expect("signs")
    }
}

/// Publishes keys.
#[derive(Clone, Default)]
pub struct Identity(Arc<Inner>);

#[derive(Default)]
struct Inner {
    keys: Mutex<Value>,
    status: Mutex<Option<u16>>,
    delay: Mutex<Duration>,
    fetched: AtomicUsize,
}

impl Identity {
    /// Publishes these.
    pub fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<&Value> = signers.iter().map(|signer| &signer.jwk).collect();
        *self.0.keys.lock().expect("lock") = json!({"keys": keys});
    }

    /// Publishes this document.
    pub fn publish_document(&self, document: Value) {
        *self.0.keys.lock().expect("lock") = document;
    }

    /// Answers this status instead.
    pub fn fail(&self, status: Option<u16>) {
        *self.0.status.lock().expect("lock") = status;
    }

    /// Takes its time.
    pub fn delay(&self, delay: Duration) {
        *self.0.delay.lock().expect("lock") = delay;
    }

    /// How often its keys were asked for.
    pub fn fetched(&self) -> usize {
        self.0.fetched.load(Ordering::SeqCst)
    }
}

async fn keys(State(identity): State<Identity>) -> Response {
    let inner = &identity.0;
    inner.fetched.fetch_add(1, Ordering::SeqCst);
    let delay = *inner.delay.lock().expect("lock");
    tokio::time::sleep(delay).await;
    if let Some(status) = *inner.status.lock().expect("lock") {
        let status = StatusCode::from_u16(status).expect("a status");
        return (status, [("location", "/elsewhere")]).into_response();
    }
    inner.keys.lock().expect("lock").to_string().into_response()
}

/// Grantkeep that believes an [`Identity`], which publishes these keys.
pub async fn with_identity(signers: &[&Signer]) -> (TestApi, Identity) {
    let (builder, identity) = builder(signers).await;
    (builder.start().await, identity)
}

pub async fn builder(signers: &[&Signer]) -> (TestApiBuilder, Identity) {
    let identity = Identity::default();
    identity.publish(signers);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("address");
    let router = Router::new()
        .route("/jwks", get(keys))
        .with_state(identity.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let builder = TestApi::builder()
        .variable("SESSION_JWKS_URL", &format!("http://{address}/jwks"))
        .variable("SESSION_ISSUER", ISSUER)
        .variable("SESSION_AUDIENCE", AUDIENCE)
        .variable("SESSION_WORKSPACE_CLAIM", "org");
    (builder, identity)
}
