//! A stand-in for AWS KMS that believes nobody: every request's Signature Version 4 is
//! computed again from what arrived, after AWS's description of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{hmac, rand};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{NaiveDateTime, Utc};
use serde_json::{Value, json};

use crate::instance::Served;

/// The key that wraps.
pub const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/0e7e1848-demo";
/// Signs in tests.
pub const SECRET: &str = "a/secret+access/key/that+only/tests+know";

/// A running KMS.
pub struct Kms {
    served: Served,
    state: Arc<Mutex<World>>,
}

#[derive(Default)]
struct World {
    wrapped: HashMap<String, (Vec<u8>, Value)>,
    calls: Vec<Call>,
    failure: Option<(u16, &'static str)>,
}

/// What it was asked, signed well.
#[derive(Clone, Debug)]
pub struct Call {
    /// Such as `Decrypt`.
    pub operation: String,
    /// Whether a session token came with it.
    pub session_token: Option<String>,
}

impl Kms {
    /// Starts one.
    pub async fn start() -> Self {
        let state = Arc::<Mutex<World>>::default();
        let router = Router::new().fallback(answer).with_state(state.clone());
        Self {
            served: Served::start(router).await,
            state,
        }
    }

    /// What a process needs to use it, with long-term credentials.
    pub fn variables(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL_KMS", self.served.origin.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIATESTS"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// From now on it answers this status and error; `None` ends that.
    pub fn fail(&self, failure: Option<(u16, &'static str)>) {
        self.world().failure = failure;
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.state.lock().expect("not poisoned")
    }
}

type Refusal = (u16, &'static str);

async fn answer(State(state): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 64 * 1024).await.expect("a body");
    let path = parts.uri.to_string();
    let answered = verify(parts.method.as_str(), &path, &parts.headers, &body).and_then(|call| {
        let mut world = state.lock().expect("not poisoned");
        world.calls.push(call.clone());
        match world.failure {
            Some(failure) => Err(failure),
            None => operate(&mut world, &call.operation, &body),
        }
    });
    let (status, value) = match answered {
        Ok(value) => (200, value),
        Err((status, error)) => (
            status,
            json!({"__type": error, "message": "canary-message"}),
        ),
    };
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.1")
        .body(Body::from(value.to_string()))
        .expect("an answer")
}

fn operate(world: &mut World, operation: &str, body: &[u8]) -> Result<Value, Refusal> {
    let asked: Value = serde_json::from_slice(body).map_err(|_| (400, "SerializationException"))?;
    if asked.get("KeyId").is_some_and(|key| key != ARN) {
        return Err((400, "NotFoundException"));
    }
    let context = asked["EncryptionContext"].clone();
    let mut wrap = |plaintext: Vec<u8>| {
        let mut blob = [0; 48];
        rand::fill(&mut blob).expect("randomness");
        let blob = STANDARD.encode(blob);
        world
            .wrapped
            .insert(blob.clone(), (plaintext, context.clone()));
        Ok(json!({"CiphertextBlob": blob, "KeyId": ARN}))
    };
    match operation {
        "GenerateDataKeyWithoutPlaintext" => {
            let mut key = vec![0; asked["NumberOfBytes"].as_u64().expect("a length") as usize];
            rand::fill(&mut key).expect("randomness");
            wrap(key)
        }
        "Encrypt" => {
            let plaintext = asked["Plaintext"].as_str().expect("a plaintext");
            wrap(STANDARD.decode(plaintext).expect("base64"))
        }
        "Decrypt" => {
            let blob = asked["CiphertextBlob"].as_str().expect("a blob");
            let (plaintext, bound) = world
                .wrapped
                .get(blob)
                .ok_or((400, "InvalidCiphertextException"))?;
            if *bound != context || context["purpose"] != "grantkeep" {
                return Err((400, "InvalidCiphertextException"));
            }
            Ok(json!({"Plaintext": STANDARD.encode(plaintext), "KeyId": ARN}))
        }
        _ => Err((400, "UnknownOperationException")),
    }
}

const BAD: Refusal = (400, "com.amazon.coral.service#InvalidSignatureException");

/// "Signature Version 4 signing process": canonical request, string to sign, signing key.
fn verify(method: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Call, Refusal> {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.map(|value| value.trim().to_owned())
    };
    let time = header("x-amz-date").ok_or(BAD)?;
    let sent = NaiveDateTime::parse_from_str(&time, "%Y%m%dT%H%M%SZ").map_err(|_| BAD)?;
    if (Utc::now().naive_utc() - sent).num_seconds().abs() > 300 {
        return Err((400, "RequestExpired"));
    }
    let authorization = header("authorization").ok_or((400, "MissingAuthenticationToken"))?;
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or(BAD)?;
    let part = |name: &str| {
        let mut parts = rest.split(", ");
        parts
            .find_map(|part| part.strip_prefix(&format!("{name}=")))
            .ok_or(BAD)
    };
    let (credential, names) = (part("Credential")?, part("SignedHeaders")?);
    let (access_key, scope) = credential.split_once('/').ok_or(BAD)?;
    if scope != format!("{}/eu-central-1/kms/aws4_request", &time[..8]) {
        return Err(BAD);
    }
    let temporary = access_key.starts_with("ASIA");
    if temporary != headers.contains_key("x-amz-security-token") {
        return Err((400, "UnrecognizedClientException"));
    }
    let signed: Vec<&str> = names.split(';').collect();
    let must = |name: &str| name == "host" || name == "content-type" || name.starts_with("x-amz-");
    let sorted = signed.is_sorted() && signed.contains(&"host");
    if !sorted
        || !headers
            .keys()
            .all(|name| !must(name.as_str()) || signed.contains(&name.as_str()))
    {
        return Err(BAD);
    }
    let mut canonical = format!("{method}\n{path}\n\n");
    for name in &signed {
        canonical += &format!("{name}:{}\n", header(name).ok_or(BAD)?);
    }
    canonical += &format!("\n{names}\n{}", hex(digest(&SHA256, body).as_ref()));
    let hash = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for step in scope.split('/') {
        key = mac(&key, step);
    }
    if hex(&mac(&key, &text)) != part("Signature")? {
        return Err(BAD);
    }
    let target = header("x-amz-target").ok_or(BAD)?;
    Ok(Call {
        operation: target.strip_prefix("TrentService.").ok_or(BAD)?.to_owned(),
        session_token: header("x-amz-security-token"),
    })
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
