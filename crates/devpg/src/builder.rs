//! What a caller may ask of the server before it starts.

use crate::error::Error;
use crate::postgres::Postgres;

/// A Postgres to be; made by [`Postgres::builder`].
#[derive(Clone, Default)]
pub struct Builder {
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) tls: Option<Tls>,
    pub(crate) hba: Option<Vec<String>>,
}

/// The server's certificate chain and key, in PEM.
#[derive(Clone)]
pub(crate) struct Tls {
    pub certificate: String,
    pub key: String,
}

impl Builder {
    /// Sets one of the server's parameters, as `-c name=value` does; a later call for the same name wins. The port
    /// cannot be set.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Offers TLS with this certificate chain and key, both PEM. Clients may still connect without; see
    /// [`hba`](Self::hba) to refuse that. Not with the server from pip, which is built without TLS.
    pub fn tls(mut self, certificate: impl Into<String>, key: impl Into<String>) -> Self {
        self.tls = Some(Tls {
            certificate: certificate.into(),
            key: key.into(),
        });
        self
    }

    /// Replaces `pg_hba.conf` by these lines; without this call everybody on this machine is trusted.
    ///
    /// `["host all postgres 127.0.0.1/32 trust", "hostssl all all 127.0.0.1/32 scram-sha-256"]` leaves the superuser
    /// a way in to create roles, and makes every other one use TLS and a password.
    pub fn hba<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.hba = Some(lines.into_iter().map(Into::into).collect());
        self
    }

    /// Starts the server and returns once it accepts connections. `progress` gets a sentence before each step that
    /// takes time.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing is left behind.
    pub fn start(self, progress: &mut dyn FnMut(&str)) -> Result<Postgres, Error> {
        Postgres::start_with(self, progress)
    }
}
