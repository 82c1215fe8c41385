//! An OpenID Connect issuer of whose id_tokens a test says every byte.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantkeep_demo_provider::client::DEMO_CLIENT_ID;
use grantkeep_tests::http::{client, send};
use grantkeep_tests::{Reply, TestApi};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::scripted::{Answer, Scripted};
use crate::support::{authorize, parameter};

pub const ACCESS_TOKEN: &str = "at-of-the-id-token";

/// Seconds since 1970, so many from now.
pub fn in_seconds(seconds: i64) -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock");
    i64::try_from(since.as_secs()).expect("a time") + seconds
}

/// A signing key of an issuer.
pub struct Signer {
    pub key: EncodingKey,
    pub jwk: Value,
}

impl Signer {
    pub fn new(kid: &str) -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).expect("a key");
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        Self {
            key: EncodingKey::from_ec_der(pkcs8.as_ref()),
            jwk: json!({
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
                "kid": kid, "x": x, "y": y,
            }),
        }
    }

    pub fn header(&self) -> Header {
        Header {
            kid: self.jwk["kid"].as_str().map(str::to_owned),
            ..Header::new(Algorithm::ES256)
        }
    }

    pub fn sign(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&self.header(), claims, &self.key).expect("signs")
    }
}

/// Gmail at an issuer of whose id_tokens a test says every byte.
pub struct Issuer {
    pub server: Scripted,
    pub signer: Signer,
    pub api: TestApi,
}

impl Issuer {
    pub async fn start() -> Self {
        Self::start_as("gmail", json!({})).await
    }

    pub async fn start_as(provider: &str, more: Value) -> Self {
        let server = Scripted::start().await;
        let signer = Signer::new("key-1");
        server.publishes(json!({"keys": [signer.jwk]}));
        let mut entry = json!({
            "issuer": server.origin(),
            "token_endpoint": format!("{}/token", server.origin()),
            "jwks_uri": format!("{}/jwks", server.origin()),
        });
        let more = more.to_string().replace("{server}", server.origin());
        grantkeep_providers::merge(&mut entry, more.parse().expect("JSON"));
        let api = TestApi::builder().provider(provider, entry).start().await;
        Self {
            server,
            signer,
            api,
        }
    }

    /// What a good id_token says, but for the nonce.
    pub fn claims(&self) -> Value {
        json!({
            "iss": self.server.origin(), "sub": "sub-1", "aud": DEMO_CLIENT_ID,
            "iat": in_seconds(0), "exp": in_seconds(3600),
            "email": "ada@example.test", "email_verified": true,
            "preferred_username": "ada@example.test",
        })
    }

    /// Signs in with the id_token that `make` makes of the nonce.
    pub async fn sign_in(&self, make: impl FnOnce(&str) -> String) -> Reply {
        self.sign_in_at(&self.api.origin, "gmail", make).await
    }

    pub async fn sign_in_at(
        &self,
        origin: &str,
        provider: &str,
        make: impl FnOnce(&str) -> String,
    ) -> Reply {
        let begun = send(client().get(format!("{origin}{}", authorize(provider)))).await;
        assert_eq!(begun.status, 302, "{}", begun.text);
        let location = begun.header("location");
        let sent = |name: &str| parameter(location, name).expect("a parameter");
        let set = json!({
            "access_token": ACCESS_TOKEN, "token_type": "Bearer", "refresh_token": "rt",
            "expires_in": 3600, "id_token": make(&sent("nonce")),
        });
        self.server.answers(Answer::json(&set));
        let cookie = begun.cookies()[0].split(';').next().unwrap_or_default();
        let state = sent("state");
        let callback = format!("{origin}/api/oauth/{provider}/callback?code=c&state={state}");
        send(client().get(callback).header("cookie", cookie)).await
    }

    /// Signs in with good claims, changed.
    pub async fn with_claims(&self, change: impl FnOnce(&mut Value)) -> Reply {
        self.sign_in(|nonce| {
            let mut claims = self.claims();
            claims["nonce"] = nonce.into();
            change(&mut claims);
            self.signer.sign(&claims)
        })
        .await
    }
}
