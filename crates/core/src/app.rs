//! What one instance of a function holds from its cold start on: settings, database,
//! HTTP client, clock and randomness. Built once; nothing connects before it is used.

use std::ops::Deref;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::cache::Cache;
use crate::http::Http;
use crate::kms::{self, KmsError};
use crate::oauth::key_sets::KeySets;
use crate::settings::{Need, Problem, Settings, SettingsError};
use crate::store::Store;
use crate::unsaved::Unsaved;
use crate::webhooks::Rest;

/// Shared by every request of an instance; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What an [`App`] is made of.
pub struct Parts {
    /// From the environment.
    pub settings: Settings,
    /// Postgres.
    pub store: Store,
    /// Redis, where there is one.
    pub cache: Option<Arc<Cache>>,
    /// The way out.
    pub http: Http,
    /// Signing keys of providers and of the sessions' issuer.
    pub key_sets: KeySets,
    /// Refreshed token sets that could not be saved yet.
    pub unsaved: Unsaved,
    /// When requests leave the webhook endpoint alone.
    pub webhook_rest: Rest,
    /// The time; tests bring their own.
    pub clock: fn() -> DateTime<Utc>,
    /// Fills with randomness; tests may bring their own.
    pub fill: fn(&mut [u8]),
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// An app of the process's environment variables.
    pub fn from_env(needs: &[Need]) -> Result<Self, SettingsError> {
        Self::new(Settings::read(needs, &variable)?)
    }

    /// The same where AWS KMS may have to open keys first.
    pub async fn load(needs: &[Need]) -> Result<Self, LoadError> {
        let opened = kms::open(&variable, system_time()).await?;
        let lookup = |name: &str| match opened.get(name) {
            Some(keys) => Some(keys.to_string()),
            None => variable(name),
        };
        Ok(Self::new(Settings::read(needs, &lookup)?)?)
    }

    /// Whether [`App::load`] has to ask AWS KMS, and [`App::from_env`] is not enough.
    pub fn needs_kms() -> bool {
        kms::is_used(&variable)
    }

    /// An app of these settings, with the system's clock and randomness.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        Self::with_clock(settings, system_time)
    }

    /// The same with a clock of one's own.
    pub fn with_clock(
        settings: Settings,
        clock: fn() -> DateTime<Utc>,
    ) -> Result<Self, SettingsError> {
        let store = Store::new(&settings.database).map_err(|error| {
            let variable = match error {
                crate::store::DatabaseUrlError::Certificate => "DATABASE_CA_CERT",
                _ => "DATABASE_URL",
            };
            SettingsError(vec![Problem {
                variable: variable.to_owned(),
                message: error.to_string(),
            }])
        })?;
        let cache = settings
            .redis
            .clone()
            .map(|url| Cache::new(url, &settings.database))
            .transpose()
            .map_err(|error| {
                SettingsError(vec![Problem {
                    variable: "REDIS_CA_CERT".to_owned(),
                    message: error.to_string(),
                }])
            })?
            .map(Arc::new);
        Ok(Self(Arc::new(Parts {
            settings,
            store: store.with_cache(cache.clone()),
            cache,
            http: Http::default(),
            key_sets: KeySets::default(),
            unsaved: Unsaved::default(),
            webhook_rest: Rest::default(),
            clock,
            fill: randomness,
        })))
    }

    /// The time now.
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    /// A random id (UUID version 4).
    pub fn new_id(&self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        (self.fill)(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Why there is no app.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// Something is wrong with the environment.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// AWS KMS did not open a key.
    #[error(transparent)]
    Kms(#[from] KmsError),
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
fn system_time() -> DateTime<Utc> {
    Utc::now()
}

/// Fills with the operating system's randomness: what [`Parts::fill`] usually is.
pub fn randomness(bytes: &mut [u8]) {
    // Fails only where the operating system has no randomness to give; nothing that
    // needs a secret can go on then.
    aws_lc_rs::rand::fill(bytes).expect("the operating system provides randomness");
}
