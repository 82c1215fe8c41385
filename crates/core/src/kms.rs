//! Encryption keys that AWS KMS has wrapped: `awskms:` and the wrapped key in base64, with
//! the ARN of the key that wraps it and a colon before it where the region has to be known.
//! One call opens one; nothing here runs unless a setting has such a value.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::http::{Answer, Http};
use crate::secret::{AwsSecretAccessKey, AwsSessionToken};
use crate::settings::{PRIMARY_KEY, RETIRED_KEYS};

use crate::sigv4::{self, Credentials, Scope};

/// What a wrapped key begins with.
pub const PREFIX: &str = "awskms:";
/// A wrapped key opens only for who names the same context: no other ciphertext of that
/// KMS key can stand in for it.
const CONTEXT: (&str, &str) = ("purpose", "grantkeep");
/// For one call; there are two attempts.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Why a wrapped key did not open, or none was made. Holds no key and no answer's text.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KmsError {
    /// A setting is missing or malformed.
    #[error("{variable} {message}")]
    Setting {
        /// Its name.
        variable: &'static str,
        /// What is wrong and what to do.
        message: &'static str,
    },
    /// KMS refused, and would again.
    #[error(
        "AWS KMS refused ({0}): the role needs kms:Decrypt on the key that wraps it, and the key \
         has to be enabled and to have wrapped this value with the encryption context \
         purpose=grantkeep"
    )]
    Refused(String),
    /// No answer, throttled or out of order: the same call may work later.
    #[error("AWS KMS {0}")]
    Unavailable(String),
}

/// The environment, or what stands for it.
type Lookup<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// Whether a setting has a wrapped key.
pub fn is_used(lookup: Lookup<'_>) -> bool {
    [PRIMARY_KEY, RETIRED_KEYS]
        .iter()
        .filter_map(|name| lookup(name))
        .any(|value| value.split(',').any(|key| key.trim().starts_with(PREFIX)))
}

/// The settings that hold wrapped keys as they would be without KMS.
pub async fn open(
    lookup: Lookup<'_>,
    now: DateTime<Utc>,
) -> Result<HashMap<&'static str, Zeroizing<String>>, KmsError> {
    let mut opened = HashMap::new();
    if !is_used(lookup) {
        return Ok(opened);
    }
    let kms = Kms::new(lookup, now)?;
    for variable in [PRIMARY_KEY, RETIRED_KEYS] {
        let Some(value) = lookup(variable) else {
            continue;
        };
        let mut keys = Zeroizing::new(String::new());
        for key in value.split(',').map(str::trim) {
            let comma = if keys.is_empty() { "" } else { "," };
            keys.push_str(comma);
            match key.strip_prefix(PREFIX) {
                Some(wrapped) => keys.push_str(&kms.decrypt(variable, wrapped).await?),
                None => keys.push_str(key),
            }
        }
        opened.insert(variable, keys);
    }
    Ok(opened)
}

/// AWS KMS, as this process may call it.
pub struct Kms {
    http: Http,
    credentials: Credentials,
    region: Option<String>,
    endpoint: Option<Url>,
    now: DateTime<Utc>,
}

impl Kms {
    /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION` and,
    /// for a stand-in, `AWS_ENDPOINT_URL_KMS`.
    pub fn new(lookup: Lookup<'_>, now: DateTime<Utc>) -> Result<Self, KmsError> {
        let get = |name| lookup(name).filter(|value| !value.trim().is_empty());
        let required = |variable| {
            get(variable).ok_or(KmsError::Setting {
                variable,
                message: "is not set; a key wrapped by AWS KMS needs AWS credentials",
            })
        };
        Ok(Self {
            // The service may have a private address, by an endpoint in a VPC.
            http: Http::anywhere(),
            credentials: Credentials::new(
                required("AWS_ACCESS_KEY_ID")?,
                AwsSecretAccessKey::new(required("AWS_SECRET_ACCESS_KEY")?),
                get("AWS_SESSION_TOKEN").map(AwsSessionToken::new),
            ),
            region: get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION")),
            endpoint: get("AWS_ENDPOINT_URL_KMS")
                .map(|url| endpoint(&url))
                .transpose()?,
            now,
        })
    }

    /// A new key, wrapped under the KMS key of this ARN; nobody has seen it unwrapped.
    pub async fn generate(&self, arn: &str) -> Result<String, KmsError> {
        let body = json!({
            "KeyId": arn,
            "NumberOfBytes": 32,
            "EncryptionContext": context(),
        });
        let target = "GenerateDataKeyWithoutPlaintext";
        wrapped(arn, self.call(target, Some(arn), &body).await?)
    }

    /// An existing key of 32 bytes, wrapped under the KMS key of this ARN.
    pub async fn encrypt(&self, arn: &str, key: &[u8; 32]) -> Result<String, KmsError> {
        let plaintext = Zeroizing::new(STANDARD.encode(key));
        let body = json!({
            "KeyId": arn,
            "Plaintext": plaintext.as_str(),
            "EncryptionContext": context(),
        });
        wrapped(arn, self.call("Encrypt", Some(arn), &body).await?)
    }

    async fn decrypt(&self, variable: &'static str, text: &str) -> Result<String, KmsError> {
        let (arn, blob) = match text.rsplit_once(':') {
            Some((arn, blob)) => (Some(arn), blob),
            None => (None, text),
        };
        if STANDARD.decode(blob).is_err() || arn.is_some_and(|arn| region_of(arn).is_none()) {
            return Err(KmsError::Setting {
                variable,
                message: "must be awskms: and what `grantkeep keygen --kms KEY_ARN` printed behind it",
            });
        }
        let mut body = json!({"CiphertextBlob": blob, "EncryptionContext": context()});
        if let Some(arn) = arn {
            body["KeyId"] = arn.into();
        }
        let answer = self.call("Decrypt", arn, &body).await?;
        match answer.plaintext {
            Some(key) => Ok(key),
            None => Err(KmsError::Unavailable("answered without a key".to_owned())),
        }
    }

    async fn call(&self, target: &str, arn: Option<&str>, body: &Value) -> Result<Reply, KmsError> {
        match self.attempt(target, arn, body).await {
            Err(KmsError::Unavailable(_)) => self.attempt(target, arn, body).await,
            other => other,
        }
    }

    async fn attempt(
        &self,
        target: &str,
        arn: Option<&str>,
        body: &Value,
    ) -> Result<Reply, KmsError> {
        let region =
            arn.and_then(region_of)
                .or(self.region.as_deref())
                .ok_or(KmsError::Setting {
                    variable: "AWS_REGION",
                    message: "is not set; it is where the KMS key lives",
                })?;
        let url = match &self.endpoint {
            Some(url) => url.clone(),
            None => service(region)?,
        };
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let body = body.to_string().into_bytes();
        let headers = [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("TrentService.{target}")),
        ];
        let scope = Scope {
            region,
            service: "kms",
        };
        let added = sigv4::sign(&self.credentials, &scope, &host, &headers, &body, self.now);
        let mut request = http::Request::post(url.as_str());
        for (name, value) in headers.iter().chain(&added) {
            request = request.header(*name, value);
        }
        let request = request.body(body).map_err(|_| KmsError::Setting {
            variable: "AWS_SESSION_TOKEN",
            message: "or another AWS credential cannot be sent in a header",
        })?;
        let answer = self.http.send(request, TIMEOUT).await;
        read(&answer.map_err(|error| KmsError::Unavailable(error.to_string()))?)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    #[serde(rename = "CiphertextBlob")]
    blob: Option<String>,
    #[serde(rename = "Plaintext")]
    plaintext: Option<String>,
    #[serde(rename = "__type")]
    error: Option<String>,
}

fn read(answer: &Answer) -> Result<Reply, KmsError> {
    let reply: Option<Reply> = serde_json::from_slice(&answer.body).ok();
    if answer.status == 200 {
        return reply.ok_or_else(|| KmsError::Unavailable("answered something else".to_owned()));
    }
    // Such as `com.amazonaws.kms#AccessDeniedException`; anything else is not ours to repeat.
    let code = reply
        .and_then(|reply| reply.error)
        .and_then(|error| error.rsplit('#').next().map(str::to_owned))
        .filter(|code| code.len() < 100 && code.bytes().all(|c| c.is_ascii_alphanumeric()))
        .unwrap_or_else(|| format!("status {}", answer.status));
    let later = answer.status >= 500 || answer.status == 429 || code.contains("Throttl");
    Err(match later {
        true => KmsError::Unavailable(format!("is not available ({code})")),
        false => KmsError::Refused(code),
    })
}

fn wrapped(arn: &str, reply: Reply) -> Result<String, KmsError> {
    match reply.blob {
        Some(blob) => Ok(format!("{PREFIX}{arn}:{blob}")),
        None => Err(KmsError::Unavailable("answered without a key".to_owned())),
    }
}

fn context() -> Value {
    json!({CONTEXT.0: CONTEXT.1})
}

/// `arn:aws:kms:REGION:ACCOUNT:key/ID`, an alias too.
fn region_of(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "kms", region, _, _] if is_name(region) => Some(region),
        _ => None,
    }
}

/// A region is part of the host's name: nothing else may get in there.
fn is_name(region: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !region.is_empty() && region.bytes().all(allowed)
}

fn service(region: &str) -> Result<Url, KmsError> {
    let suffix = match region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    };
    Some(region)
        .filter(|region| is_name(region))
        .and_then(|region| Url::parse(&format!("https://kms.{region}.{suffix}/")).ok())
        .ok_or(KmsError::Setting {
            variable: "AWS_REGION",
            message: "must be a region's name, such as eu-central-1",
        })
}

fn endpoint(text: &str) -> Result<Url, KmsError> {
    let url = Url::parse(text.trim()).ok().filter(|url| {
        let loopback = match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        let plain = url.path() == "/" && url.query().is_none() && url.username().is_empty();
        plain && (url.scheme() == "https" || url.scheme() == "http" && loopback)
    });
    url.ok_or(KmsError::Setting {
        variable: "AWS_ENDPOINT_URL_KMS",
        message: "must be an https address without a path (http on loopback only)",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_of_an_arn_is_a_region_or_nothing() {
        let key = "arn:aws:kms:eu-central-1:111122223333:key/1234";

        assert_eq!(region_of(key), Some("eu-central-1"));
        for bad in [
            "",
            "arn:aws:kms:",
            "arn:aws:s3:eu-central-1:1:key/1",
            "arn:aws:kms:evil.example/:1:key/1",
        ] {
            assert_eq!(region_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_service_is_asked_by_https_and_a_stand_in_may_be_on_loopback() {
        let asked = service("cn-north-1").expect("a region");

        assert_eq!(asked.as_str(), "https://kms.cn-north-1.amazonaws.com.cn/");
        assert!(service("evil.example/").is_err());
        assert!(endpoint("http://127.0.0.1:4566").is_ok());
        assert!(endpoint("https://kms.example").is_ok());
        assert!(endpoint("http://kms.example").is_err());
        assert!(endpoint("https://kms.example/path").is_err());
    }

    #[test]
    fn only_a_setting_with_the_prefix_needs_kms() {
        let with = |value: &'static str| {
            is_used(&move |name| (name == RETIRED_KEYS).then(|| value.to_owned()))
        };

        assert!(with("b3h1, awskms:AAAA"));
        assert!(!with("b3h1,b3h2") && !with(""));
    }
}
