//! Where webhooks go and what signs them: `WEBHOOK_URL` and `WEBHOOK_SECRET`, in the form
//! of Standard Webhooks.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::http::is_public;

const PREFIX: &str = "whsec_";

/// Why a webhook setting cannot be used. Says what to do, never the value.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EndpointError {
    /// No absolute https address.
    #[error(
        "must be an absolute https address (http on loopback only) without user information or \
         a fragment"
    )]
    Url,
    /// Literally a private address.
    #[error("has an address in a private network; it must be reachable from everywhere")]
    PrivateAddress,
    /// Not `whsec_` and base64.
    #[error(
        "must be whsec_ and 24 to 64 random bytes in base64, several separated by spaces or \
         commas, the newest first; make one with `echo \"whsec_$(openssl rand -base64 32)\"`"
    )]
    Secret,
}

/// A webhook endpoint with the secrets that sign what it gets.
pub struct Endpoint {
    url: Url,
    secrets: Vec<Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An address may hold a key in its path or query.
        write!(f, "Endpoint([redacted], {} secrets)", self.secrets.len())
    }
}

/// Reads an endpoint's address: https, or http on a loopback address.
pub fn parse_url(text: &str) -> Result<Url, EndpointError> {
    let url = Url::parse(text.trim()).map_err(|_| EndpointError::Url)?;
    let (loopback, public) = match url.host() {
        Some(Host::Ipv4(ip)) => (ip.is_loopback(), is_public(ip.into())),
        Some(Host::Ipv6(ip)) => (ip.is_loopback(), is_public(ip.into())),
        Some(Host::Domain(name)) => (name == "localhost", true),
        None => return Err(EndpointError::Url),
    };
    let encrypted = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    match (encrypted && plain, loopback || public) {
        (false, _) => Err(EndpointError::Url),
        (true, false) => Err(EndpointError::PrivateAddress),
        (true, true) => Ok(url),
    }
}

/// Reads secrets, separated by commas or white space, at least one.
pub fn parse_secrets(text: &str) -> Result<Vec<Zeroizing<Vec<u8>>>, EndpointError> {
    let secrets = text
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .map(|part| {
            let encoded = part.strip_prefix(PREFIX).ok_or(EndpointError::Secret)?;
            let bytes = STANDARD.decode(encoded).map(Zeroizing::new);
            bytes
                .ok()
                .filter(|bytes| (24..=64).contains(&bytes.len()))
                .ok_or(EndpointError::Secret)
        })
        .collect::<Result<Vec<_>, _>>()?;
    match secrets.is_empty() {
        true => Err(EndpointError::Secret),
        false => Ok(secrets),
    }
}

impl Endpoint {
    /// An endpoint of what [`parse_url`] and [`parse_secrets`] read.
    pub fn new(url: Url, secrets: Vec<Zeroizing<Vec<u8>>>) -> Self {
        Self { url, secrets }
    }

    /// Its address.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Its host, for logs: the rest of the address may hold a key.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// SHA-256 of its address, which names it in the database.
    pub fn url_hash(&self) -> Vec<u8> {
        digest(&SHA256, self.url.as_str().as_bytes())
            .as_ref()
            .to_vec()
    }

    /// `webhook-signature`: one signature for each secret, in their order, so that a
    /// receiver may know the old one or the new one while they change.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signatures = self.secrets.iter().map(|secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let mut context = hmac::Context::with_key(&key);
            context.update(format!("{id}.{timestamp}.").as_bytes());
            context.update(body);
            format!("v1,{}", STANDARD.encode(context.sign()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn endpoint(secrets: &str) -> Endpoint {
        let url = parse_url("https://hooks.example/in").expect("an address");
        Endpoint::new(url, parse_secrets(secrets).expect("secrets"))
    }

    #[test]
    fn wh01_signs_as_the_specifications_example() {
        let signature = endpoint(SECRET).sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );

        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn wh01_while_secrets_change_each_signs_in_its_order() {
        let other = format!("whsec_{}", STANDARD.encode([7; 64]));
        let alone = |secrets: &str| endpoint(secrets).sign("id", 1, b"body");

        for separator in [",", " ", ", "] {
            assert_eq!(
                alone(&format!("{other}{separator}{SECRET}")),
                format!("{} {}", alone(&other), alone(SECRET))
            );
        }
    }

    #[test]
    fn wh01_secrets_that_are_none_are_refused() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        let half = format!("{SECRET},whsec_");

        for text in [
            "",
            " , ",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_!",
            &short,
            &long,
            &half,
        ] {
            assert_eq!(
                parse_secrets(text).err(),
                Some(EndpointError::Secret),
                "{text}"
            );
        }
    }

    #[test]
    fn wh02_addresses_are_https_and_public_or_loopback() {
        for good in [
            "https://hooks.example/in?key=1",
            "http://127.0.0.1:9000/in",
            "http://localhost:9000/",
            "http://[::1]:9000/",
        ] {
            assert!(parse_url(good).is_ok(), "{good}");
        }
        for bad in [
            "hooks.example",
            "http://hooks.example/",
            "ftp://hooks.example/",
            "https://user@hooks.example/",
            "https://hooks.example/#part",
        ] {
            assert_eq!(parse_url(bad), Err(EndpointError::Url), "{bad}");
        }
        for private in [
            "https://10.0.0.1/",
            "https://169.254.169.254/",
            "https://[fd00::1]/",
        ] {
            assert_eq!(
                parse_url(private),
                Err(EndpointError::PrivateAddress),
                "{private}"
            );
        }
    }

    #[test]
    fn debug_shows_neither_address_nor_secret() {
        let shown = format!("{:?}", endpoint(SECRET));

        assert!(
            !shown.contains("hooks") && !shown.contains("MfKQ"),
            "{shown}"
        );
    }
}
