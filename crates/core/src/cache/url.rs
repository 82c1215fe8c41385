//! `REDIS_URL`: `redis://user:password@host:port/number`, or `rediss://` for TLS.

use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

/// What is wrong with the URL; the variable is named by the caller, its value by nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RedisUrlError {
    /// Not a Redis URL.
    #[error("must look like rediss://user:password@host:6379/0 (redis:// is without TLS)")]
    Malformed,
    /// REDIS_CA_CERT is no certificate.
    #[error("must be certificates in PEM form (-----BEGIN CERTIFICATE-----)")]
    Certificate,
}

/// A parsed `REDIS_URL`.
#[derive(Clone)]
pub struct RedisUrl {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<Zeroizing<String>>,
    pub(super) database: u32,
    pub(super) certificates: Option<String>,
}

impl RedisUrl {
    /// Reads the URL; `certificates` are those that the server's must descend from,
    /// Mozilla's list where there are none.
    pub fn parse(text: &str, certificates: Option<String>) -> Result<Self, RedisUrlError> {
        let url = Url::parse(text.trim()).map_err(|_| RedisUrlError::Malformed)?;
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(RedisUrlError::Malformed),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(RedisUrlError::Malformed)?;
        let database = match url.path().trim_matches('/') {
            "" => 0,
            number => number.parse().map_err(|_| RedisUrlError::Malformed)?,
        };
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| RedisUrlError::Malformed)
        };
        let user = Some(url.username()).filter(|user| !user.is_empty());
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(6379),
            tls,
            user: user.map(decoded).transpose()?,
            password: url.password().map(decoded).transpose()?.map(Zeroizing::new),
            database,
            certificates,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RedisUrl, RedisUrlError> {
        RedisUrl::parse(text, None)
    }

    #[test]
    fn every_part_is_read() {
        let url = parse("rediss://default:p%40ss@redis.example:6380/2").expect("a URL");

        assert_eq!((url.host.as_str(), url.port), ("redis.example", 6380));
        assert_eq!((url.tls, url.database), (true, 2));
        assert_eq!(url.user.as_deref(), Some("default"));
        assert_eq!(url.password.as_deref().map(String::as_str), Some("p@ss"));
    }

    #[test]
    fn what_is_left_out_has_redis_own_values() {
        let url = parse("redis://[::1]").expect("a URL");

        assert_eq!((url.host.as_str(), url.port), ("::1", 6379));
        assert_eq!((url.tls, url.database), (false, 0));
        assert!(url.user.is_none() && url.password.is_none());
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in [
            "",
            "redis.example:6379",
            "http://redis.example",
            "redis:///0",
            "redis://h/x",
        ] {
            assert_eq!(parse(text).err(), Some(RedisUrlError::Malformed), "{text}");
        }
    }
}
