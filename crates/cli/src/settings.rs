//! From the environment to what a command needs, and no more: `migrate` asks for no
//! encryption key.

use std::sync::Arc;

use grantkeep_core::App;
use grantkeep_core::cache::Cache;
use grantkeep_core::kms::Kms;
use grantkeep_core::provider::Registry;
use grantkeep_core::session::SessionKey;
use grantkeep_core::settings::Settings;
use grantkeep_core::store::Store;

use crate::failure::Failure;

/// Everything: database, keys, providers, `PUBLIC_URL`.
pub async fn app() -> Result<App, Failure> {
    Ok(App::load(&[]).await?)
}

/// AWS KMS alone.
pub fn kms() -> Result<Kms, Failure> {
    Kms::new(&variable, chrono::Utc::now()).map_err(Failure::from)
}

/// The database alone.
pub fn store() -> Result<Store, Failure> {
    let url = Settings::read_database(&variable)?;
    let cache = Settings::read_redis(&variable)?
        .map(|redis| Cache::new(redis, &url))
        .transpose()
        .map_err(|error| Failure::settings(format!("REDIS_CA_CERT {error}")))?;
    let store =
        Store::new(&url).map_err(|error| Failure::settings(format!("DATABASE_URL {error}")))?;
    // Functions must not go on serving from the cache what a command changes.
    Ok(store.with_cache(cache.map(Arc::new)))
}

/// The providers and their clients alone.
pub fn providers() -> Result<Registry, Failure> {
    Ok(Settings::read_providers(&variable)?)
}

/// `SESSION_SECRET` alone.
pub fn sessions() -> Result<SessionKey, Failure> {
    Ok(Settings::read_sessions(&variable)?)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
