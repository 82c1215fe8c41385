//! `DATABASE_URL`: what hosted databases put into it, read the way libpq would.

use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use url::Url;

/// What is wrong with the URL; the variable is named by the caller, its value by nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Not a connection URL.
    #[error("must look like postgres://user:password@host:5432/database?sslmode=verify-full")]
    Malformed,
    /// An `sslmode` that does not exist.
    #[error("sslmode must be disable, allow, prefer, require, verify-ca or verify-full")]
    SslMode,
    /// DATABASE_CA_CERT is no certificate.
    #[error("must be certificates in PEM form (-----BEGIN CERTIFICATE-----)")]
    Certificate,
}

/// How far the server's identity is checked; libpq's words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verification {
    /// Plain text.
    Disable,
    /// TLS if the server has it, unchecked.
    Prefer,
    /// TLS, unchecked.
    Require,
    /// TLS with a certificate of a known authority.
    VerifyCa,
    /// The same, issued for this very host.
    VerifyFull,
}

/// A parsed `DATABASE_URL`.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: Config,
    verification: Verification,
    certificates: Option<String>,
}

/// The parameters that our client understands; hosted databases add others for other clients.
const KNOWN: [&str; 9] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "host",
    "hostaddr",
    "options",
    "port",
    "target_session_attrs",
    "user",
];

impl DatabaseUrl {
    /// Reads the URL. Without `sslmode`, a server on another machine has to prove who
    /// it is, and one on this machine need not speak TLS.
    pub fn parse(text: &str, certificates: Option<String>) -> Result<Self, DatabaseUrlError> {
        let mut url = Url::parse(text.trim()).map_err(|_| DatabaseUrlError::Malformed)?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(DatabaseUrlError::Malformed);
        }
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let sslmode = pairs
            .iter()
            .find(|(name, _)| name == "sslmode")
            .map(|(_, mode)| mode.clone());
        let known = pairs
            .into_iter()
            .filter(|(name, _)| KNOWN.contains(&name.as_str()));
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(known)
            .finish()
            // tokio-postgres percent-decodes and takes `+` literally.
            .replace('+', "%20");
        url.set_query(
            Some(&query)
                .filter(|query| !query.is_empty())
                .map(String::as_str),
        );

        let mut config: Config = url
            .as_str()
            .parse()
            .map_err(|_| DatabaseUrlError::Malformed)?;
        if config.get_hosts().is_empty() {
            return Err(DatabaseUrlError::Malformed);
        }
        let verification = match sslmode.as_deref() {
            Some("disable") => Verification::Disable,
            Some("allow" | "prefer") => Verification::Prefer,
            Some("require") => Verification::Require,
            Some("verify-ca") => Verification::VerifyCa,
            Some("verify-full") => Verification::VerifyFull,
            Some(_) => return Err(DatabaseUrlError::SslMode),
            None if is_local(&config) => Verification::Prefer,
            None => Verification::VerifyFull,
        };
        config.ssl_mode(match verification {
            Verification::Disable => SslMode::Disable,
            Verification::Prefer => SslMode::Prefer,
            Verification::Require | Verification::VerifyCa | Verification::VerifyFull => {
                SslMode::Require
            }
        });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(4));
        }
        if config.get_application_name().is_none() {
            config.application_name("grantkeep");
        }
        config.tcp_user_timeout(Duration::from_secs(10));
        Ok(Self {
            config,
            verification,
            certificates,
        })
    }

    /// Which database it is: hosts, ports and name.
    pub fn identity(&self) -> Vec<u8> {
        let (hosts, ports) = (self.config.get_hosts(), self.config.get_ports());
        format!("{hosts:?} {ports:?} {:?}", self.config.get_dbname()).into_bytes()
    }

    /// How far the server's identity is checked.
    pub fn verification(&self) -> Verification {
        self.verification
    }

    /// Whether the server is on this machine.
    pub fn is_local(&self) -> bool {
        is_local(&self.config)
    }

    pub(super) fn config(&self) -> Config {
        self.config.clone()
    }

    pub(super) fn certificates(&self) -> Option<&str> {
        self.certificates.as_deref()
    }
}

fn is_local(config: &Config) -> bool {
    // `hostaddr` is where the client goes, whatever the host is called.
    let addresses = config.get_hostaddrs();
    addresses.iter().all(std::net::IpAddr::is_loopback)
        && config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => {
                name == "localhost"
                    || name
                        .trim_matches(['[', ']'])
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|ip| ip.is_loopback())
            }
            #[cfg(unix)]
            Host::Unix(_) => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verification(url: &str) -> Result<Verification, DatabaseUrlError> {
        DatabaseUrl::parse(url, None).map(|url| url.verification())
    }

    #[test]
    fn ls02_a_remote_server_has_to_prove_itself_unless_the_url_says_otherwise() {
        for (url, expected) in [
            ("postgres://u:p@db.example/d", Verification::VerifyFull),
            (
                "postgresql://u:p@db.example/d?sslmode=require",
                Verification::Require,
            ),
            (
                "postgres://u:p@db.example/d?sslmode=verify-ca",
                Verification::VerifyCa,
            ),
            (
                "postgres://u:p@db.example/d?sslmode=disable",
                Verification::Disable,
            ),
            ("postgres://u:p@127.0.0.1/d", Verification::Prefer),
            (
                "postgres://u:p@localhost/d?sslmode=verify-full",
                Verification::VerifyFull,
            ),
            (
                "postgres://u:p@localhost/d?hostaddr=192.0.2.7",
                Verification::VerifyFull,
            ),
            (
                "postgres://u:p@localhost/d?hostaddr=127.0.0.1",
                Verification::Prefer,
            ),
        ] {
            assert_eq!(verification(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn parameters_of_other_clients_are_ignored() {
        let url = "postgres://u:p@db.example:6543/d?pgbouncer=true&connection_limit=1&supa=base\
                   &sslmode=require&channel_binding=require&application_name=my%20app";

        let parsed = DatabaseUrl::parse(url, None).unwrap_or_else(|error| panic!("{error}"));

        assert_eq!(parsed.config.get_application_name(), Some("my app"));
        assert_eq!(parsed.config.get_ports(), [6543]);
    }

    #[test]
    fn what_is_no_postgres_url_is_refused() {
        for url in [
            "",
            "mysql://u@h/d",
            "db.example",
            "postgres://",
            "host=db user=u",
        ] {
            assert_eq!(verification(url), Err(DatabaseUrlError::Malformed), "{url}");
        }
        assert_eq!(
            verification("postgres://u@h/d?sslmode=strict"),
            Err(DatabaseUrlError::SslMode)
        );
    }
}
