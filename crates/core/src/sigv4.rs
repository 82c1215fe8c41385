//! AWS Signature Version 4 for what we send: a `POST` to `/` without a query.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};

use crate::secret::{AwsSecretAccessKey, AwsSessionToken};

/// Who signs.
pub struct Credentials {
    /// Names the key that signs.
    access_key_id: String,
    /// Signs.
    secret_access_key: AwsSecretAccessKey,
    /// Comes with temporary credentials.
    session_token: Option<AwsSessionToken>,
}

impl Credentials {
    /// Long-term credentials have no session token: one that is there all the same is another's
    /// (the host's own, as Vercel's functions may have) and would spoil them.
    pub fn new(
        access_key_id: String,
        secret_access_key: AwsSecretAccessKey,
        session_token: Option<AwsSessionToken>,
    ) -> Self {
        let temporary = !access_key_id.starts_with("AKIA");
        Self {
            access_key_id,
            secret_access_key,
            session_token: session_token.filter(|_| temporary),
        }
    }
}

/// What a signature is good for, besides its day.
pub struct Scope<'a> {
    /// Such as `eu-central-1`.
    pub region: &'a str,
    /// Such as `kms`.
    pub service: &'a str,
}

/// The headers that a signed request has besides `headers`, whose names are lower case:
/// `x-amz-date`, `x-amz-security-token` where it belongs, and `authorization`. All of them
/// are covered by the signature, `host` too.
pub fn sign(
    credentials: &Credentials,
    scope: &Scope<'_>,
    host: &str,
    headers: &[(&'static str, String)],
    body: &[u8],
    now: DateTime<Utc>,
) -> Vec<(&'static str, String)> {
    let time = now.format("%Y%m%dT%H%M%SZ").to_string();
    let day = &time[..8];
    let mut added = vec![("x-amz-date", time.clone())];
    if let Some(token) = &credentials.session_token {
        added.push(("x-amz-security-token", token.expose().to_owned()));
    }
    let mut signed: Vec<(&str, &str)> = headers
        .iter()
        .chain(&added)
        .map(|(name, value)| (*name, value.as_str()))
        .chain([("host", host)])
        .collect();
    signed.sort_unstable();
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = signed
        .iter()
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    let request = format!("POST\n/\n\n{lines}\n{names}\n{}", hash(body));

    let Scope { region, service } = scope;
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hash(request.as_bytes())
    );
    let secret = format!("AWS4{}", credentials.secret_access_key.expose());
    let key = [day, region, service, "aws4_request"]
        .iter()
        .fold(zeroize::Zeroizing::new(secret.into_bytes()), |key, part| {
            zeroize::Zeroizing::new(mac(&key, part).as_ref().to_vec())
        });
    let signature = hex(mac(&key, &text).as_ref());
    let id = &credentials.access_key_id;
    added.push((
        "authorization",
        format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
        ),
    ));
    added
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn hash(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `post-vanilla` of AWS's test suite for Signature Version 4.
    #[test]
    fn the_signature_is_that_of_awss_test_suite() {
        let secret = AwsSecretAccessKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let credentials = Credentials::new("AKIDEXAMPLE".to_owned(), secret, None);
        let scope = Scope {
            region: "us-east-1",
            service: "service",
        };
        let now = "2015-08-30T12:36:00Z".parse().expect("a time");

        let added = sign(&credentials, &scope, "example.amazonaws.com", &[], b"", now);

        assert_eq!(added[0], ("x-amz-date", "20150830T123600Z".to_owned()));
        assert_eq!(
            added[1].1,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }
}
