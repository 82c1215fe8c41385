//! The one way out: a client that follows no redirect, asks no proxy, reads at most
//! [`MAX_BODY`] bytes unless they are streamed, gives up in time and never connects to a
//! private address.

mod stream;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::header::RETRY_AFTER;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::crypto::aws_lc_rs;
use url::Host;

pub use stream::{BoxError, Payload, Stream};

/// The most that is read of an answer, in bytes.
pub const MAX_BODY: usize = 256 * 1024;
/// A body that nobody wants is read to here, so that its connection can serve again.
const UNWANTED: usize = 4 * 1024;

/// An answer, read to its end.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// As received.
    pub headers: http::HeaderMap,
    /// At most [`MAX_BODY`] bytes; may hold tokens.
    pub body: Vec<u8>,
}

impl Answer {
    /// `Retry-After` in seconds; it may also be a date (RFC 9110 section 10.2.3).
    pub fn retry_after(&self, now: DateTime<Utc>) -> Option<u64> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        text.parse().ok().or_else(|| {
            let at = DateTime::parse_from_rfc2822(text).ok()?;
            u64::try_from((at.to_utc() - now).num_seconds()).ok()
        })
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HttpError {
    /// Nothing was sent: the name did not resolve or the connection was refused.
    #[error("could not be reached")]
    Unreachable,
    /// The request may have been carried out, its answer did not come in time.
    #[error("did not answer in time")]
    Timeout,
    /// The request may have been carried out, its answer was cut off.
    #[error("broke off its answer")]
    Interrupted,
    /// More than [`MAX_BODY`] bytes.
    #[error("answered more than 256 KiB")]
    TooLarge,
    /// The name or address belongs to a private network.
    #[error("has an address in a private network")]
    PrivateAddress,
    /// The request itself could not be built.
    #[error("could not be asked: the request is malformed")]
    Malformed,
}

/// Outbound HTTP; the TLS stack is set up when it is first used.
#[derive(Default)]
pub struct Http {
    client: OnceLock<Option<reqwest::Client>>,
    anywhere: bool,
}

impl Http {
    /// One that connects to private addresses too: for hosts that only the settings name.
    pub fn anywhere() -> Self {
        Self {
            client: OnceLock::new(),
            anywhere: true,
        }
    }

    fn client(&self, url: &url::Url) -> Result<&reqwest::Client, HttpError> {
        if !self.anywhere && !address_allowed(url) {
            return Err(HttpError::PrivateAddress);
        }
        self.client
            .get_or_init(|| build(self.anywhere).ok())
            .as_ref()
            .ok_or(HttpError::Malformed)
    }

    /// Sends one request and reads its answer, redirects included, within `timeout`.
    pub async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Answer, HttpError> {
        self.ask(request, timeout, MAX_BODY, Err(HttpError::TooLarge))
            .await
    }

    /// The same where nobody wants the body: however long it is, the answer counts and its
    /// `body` means nothing.
    pub async fn send_for_status(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Answer, HttpError> {
        self.ask(request, timeout, UNWANTED, Ok(())).await
    }

    /// What follows the first `most` bytes of a body stays unread; `longer` says whether
    /// the answer counts then.
    async fn ask(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
        most: usize,
        longer: Result<(), HttpError>,
    ) -> Result<Answer, HttpError> {
        let request = reqwest::Request::try_from(request).map_err(|_| HttpError::Malformed)?;
        let client = self.client(request.url())?;

        tokio::time::timeout(timeout, receive(client, request, most, longer))
            .await
            .unwrap_or(Err(HttpError::Timeout))
    }
}

async fn receive(
    client: &reqwest::Client,
    request: reqwest::Request,
    most: usize,
    longer: Result<(), HttpError>,
) -> Result<Answer, HttpError> {
    let mut response = client
        .execute(request)
        .await
        .map_err(|error| classify(&error))?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        if body.len() + chunk.len() > most {
            longer?;
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        headers,
        body,
    })
}

/// The error itself is dropped: its text holds the URL.
fn classify(error: &reqwest::Error) -> HttpError {
    match error {
        error if error.is_connect() => HttpError::Unreachable,
        error if error.is_timeout() => HttpError::Timeout,
        error if error.is_builder() => HttpError::Malformed,
        _ => HttpError::Interrupted,
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that builds a client"
)]
fn build(anywhere: bool) -> Result<reqwest::Client, Box<dyn std::error::Error>> {
    let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut builder = reqwest::Client::builder();
    if !anywhere {
        builder = builder.dns_resolver(Arc::new(PublicNames));
    }
    Ok(builder
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(Duration::from_secs(4))
        .pool_idle_timeout(Duration::from_secs(20))
        .user_agent(concat!("grantkeep/", env!("CARGO_PKG_VERSION")))
        .build()?)
}

/// Resolves names and refuses those that lead into a private network. Looked up and
/// checked at once, so that no second look-up can give another address.
struct PublicNames;

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let local = name.as_str() == "localhost";
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = |ip: IpAddr| {
                if local {
                    ip.is_loopback()
                } else {
                    is_public(ip)
                }
            };
            if found.iter().any(|address| !allowed(address.ip())) {
                return Err(HttpError::PrivateAddress.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// An address written into a URL is never looked up, so it is checked here:
/// loopback (a provider on the developer's machine) or public.
fn address_allowed(url: &url::Url) -> bool {
    let allowed = |ip: IpAddr| ip.is_loopback() || is_public(ip);
    match url.host() {
        Some(Host::Ipv4(ip)) => allowed(ip.into()),
        Some(Host::Ipv6(ip)) => allowed(ip.into()),
        Some(Host::Domain(_)) => true,
        None => false,
    }
}

/// Whether an address is reachable from everywhere: none of loopback, private
/// (RFC 1918), shared (RFC 6598), link-local, unique local, mapped, multicast,
/// documentation or unspecified.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            !(ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(mapped) => is_public(mapped.into()),
            // Global unicast is 2000::/3; 6to4 and Teredo wrap addresses we could not check.
            None => {
                let [first, second, ..] = ip.segments();
                (0x2000..0x4000).contains(&first)
                    && first != 0x2002
                    && !(first == 0x2001 && (second == 0 || second == 0x0db8))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn px03_private_addresses_are_told_from_public_ones() {
        let private = [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "fc00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::",
            "ff02::1",
            "2001:db8::1",
            "2002:a00:1::",
        ];
        let public = [
            "8.8.8.8",
            "142.250.1.1",
            "100.128.0.1",
            "2a00:1450:4001::1",
            "::ffff:8.8.8.8",
        ];

        for ip in private {
            assert!(!is_public(ip.parse().expect("ip")), "{ip}");
        }
        for ip in public {
            assert!(is_public(ip.parse().expect("ip")), "{ip}");
        }
    }
}
