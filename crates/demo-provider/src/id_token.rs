//! The signing key and the id_tokens made with it, right or wrong as the knobs say.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::account::Account;
use crate::knobs::IdTokenFault;
use crate::scopes;

const KEY_ID: &str = "demo-1";
const LIFETIME_S: u64 = 3600;

/// An ES256 key, made when the server starts.
pub(crate) struct SigningKey {
    encoding: EncodingKey,
    x: String,
    y: String,
}

impl SigningKey {
    pub(crate) fn generate() -> SigningKey {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
            .expect("the system's random source works");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref())
            .expect("a key that was just made can be read");
        // An uncompressed point: 4, then the two coordinates of 32 bytes each.
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        SigningKey {
            encoding: EncodingKey::from_ec_der(pkcs8.as_ref()),
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        }
    }

    /// The JSON Web Key Set that `/jwks` publishes.
    pub(crate) fn jwks(&self) -> Value {
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
            "kid": KEY_ID, "x": self.x, "y": self.y,
        }]})
    }
}

/// What an id_token is about.
pub(crate) struct Subject<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) account: &'a Account,
    pub(crate) scopes: &'a [String],
    pub(crate) nonce: Option<&'a str>,
    pub(crate) access_token: &'a str,
}

impl Subject<'_> {
    fn claims(&self, fault: Option<IdTokenFault>) -> Value {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let hash = digest::digest(&digest::SHA256, self.access_token.as_bytes());
        let mut claims = json!({
            "iss": self.issuer,
            "sub": self.account.sub,
            "aud": self.client_id,
            "azp": self.client_id,
            "at_hash": URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]),
            "iat": now,
            "exp": now + LIFETIME_S,
        });
        if let Some(nonce) = self.nonce {
            claims["nonce"] = nonce.into();
        }
        if scopes::tells_email(self.scopes) {
            claims["email"] = self.account.email.into();
            claims["email_verified"] = true.into();
        }
        if scopes::tells_profile(self.scopes) {
            claims["name"] = self.account.name.into();
            claims["preferred_username"] = self.account.email.into();
        }
        match fault {
            Some(IdTokenFault::WrongNonce) => claims["nonce"] = "another-nonce".into(),
            Some(IdTokenFault::WrongAud) => claims["aud"] = "another-client".into(),
            Some(IdTokenFault::WrongIss) => claims["iss"] = "https://another.example.test".into(),
            Some(IdTokenFault::Expired) => {
                claims["iat"] = (now - 2 * LIFETIME_S).into();
                claims["exp"] = (now - LIFETIME_S).into();
            }
            Some(IdTokenFault::EmailUnverified) => claims["email_verified"] = false.into(),
            Some(IdTokenFault::AlgNone | IdTokenFault::BadSignature) | None => {}
        }
        claims
    }

    /// The encoded id_token.
    pub(crate) fn sign(&self, key: &SigningKey, fault: Option<IdTokenFault>) -> String {
        let claims = self.claims(fault);
        if fault == Some(IdTokenFault::AlgNone) {
            let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#);
            return format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()));
        }
        let header = Header {
            kid: Some(KEY_ID.to_owned()),
            ..Header::new(Algorithm::ES256)
        };
        let token = jsonwebtoken::encode(&header, &claims, &key.encoding)
            .expect("claims made here can be signed");
        if fault != Some(IdTokenFault::BadSignature) {
            return token;
        }
        let (signed, _) = token.rsplit_once('.').expect("a JWT has three parts");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode([1; 64]))
    }
}
