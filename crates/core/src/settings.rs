//! Environment variables, and nothing else, become [`Settings`]; every missing or
//! malformed one is named at once.

mod environment;
mod sessions;

pub use environment::{Problem, SettingsError};

use environment::Environment;

use crate::cache::RedisUrl;
use crate::cipher::KeyRing;
use crate::gmail::queue::Queue;
use crate::provider::Registry;
use crate::return_to::{AllowedOrigins, PublicUrl};
use crate::secret::{AwsSecretAccessKey, AwsSessionToken, CronSecret};
use crate::service_key::ServiceKeys;
use crate::session::SessionKey;
use crate::session::issuer::SessionIssuer;
use crate::sigv4::Credentials;
use crate::store::{DatabaseUrl, DatabaseUrlError};
use crate::webhooks::{self, Endpoint};

/// The variable of the key that seals.
pub const PRIMARY_KEY: &str = "OAUTH_ENCRYPTION_KEY";
/// The variable of the keys that only open.
pub const RETIRED_KEYS: &str = "OAUTH_ENCRYPTION_KEYS_RETIRED";

/// What a function cannot work without, besides what all need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// `SESSION_SECRET`, or `SESSION_JWKS_URL` with what belongs to it.
    Sessions,
    /// `SESSION_SECRET`, to sign with.
    SessionSecret,
    /// `SERVICE_KEYS`.
    ServiceKeys,
    /// `CRON_SECRET`.
    CronSecret,
}

/// Everything that the environment says.
pub struct Settings {
    /// `DATABASE_URL` or `POSTGRES_URL`, with `DATABASE_CA_CERT`.
    pub database: DatabaseUrl,
    /// `OAUTH_ENCRYPTION_KEY`, `OAUTH_ENCRYPTION_KEYS_RETIRED`.
    pub keys: KeyRing,
    /// `PUBLIC_URL`.
    pub public_url: PublicUrl,
    /// `RETURN_TO_ORIGINS` and `PUBLIC_URL`.
    pub origins: AllowedOrigins,
    /// `SESSION_SECRET`; without it no session of ours is signed or believed.
    pub sessions: Option<SessionKey>,
    /// `SESSION_JWKS_URL`, `SESSION_ISSUER`, `SESSION_AUDIENCE`, `SESSION_WORKSPACE_CLAIM`:
    /// who else signs sessions.
    pub session_issuer: Option<SessionIssuer>,
    /// `SERVICE_KEYS`; without them nobody has one.
    pub service_keys: ServiceKeys,
    /// `CRON_SECRET`; without it nobody runs a job.
    pub cron_secret: Option<CronSecret>,
    /// `OAUTH_PROVIDERS` and the client ids.
    pub providers: Registry,
    /// `WEBHOOK_URL`, `WEBHOOK_SECRET`; without them events are only stored.
    pub webhook: Option<Endpoint>,
    /// `POLL_QUEUE_URL`; without it the scheduled invocation polls mailboxes itself.
    pub poll_queue: Option<Queue>,
    /// `STORE_MAIL_TEXT`: whether subjects and first words of messages are stored.
    pub store_mail_text: bool,
    /// `AUDIT_READS`.
    pub audit_reads: AuditReads,
    /// `REDIS_URL` or `KV_URL`, with `REDIS_CA_CERT`; without it nothing is cached.
    pub redis: Option<RedisUrl>,
}

/// Where it is written down who read which token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AuditReads {
    /// In the log only.
    #[default]
    Log,
    /// In the log and in `token_reads`; without its row no token is handed out.
    Table,
}

impl Settings {
    /// Reads what `lookup` knows.
    pub fn read(
        needs: &[Need],
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let mut env = Environment::new(lookup);
        let database = database(&mut env);
        let keys = keys(&mut env);
        let public_url = env
            .required(
                "PUBLIC_URL",
                "it is the origin that browsers see, such as https://app.example.com",
            )
            .and_then(|text| env.checked("PUBLIC_URL", PublicUrl::parse(&text)));
        let origins = public_url.as_ref().and_then(|own| {
            let others = env.get("RETURN_TO_ORIGINS").unwrap_or_default();
            env.checked("RETURN_TO_ORIGINS", AllowedOrigins::parse(own, &others))
        });
        let needs_key = needs.contains(&Need::SessionSecret)
            || needs.contains(&Need::Sessions) && !sessions::names_issuer(&env);
        let key = sessions::key(&mut env, needs_key);
        let session_issuer = sessions::issuer(&mut env);
        let service_keys = service_keys(&mut env, needs.contains(&Need::ServiceKeys));
        let cron_secret = cron_secret(&mut env, needs.contains(&Need::CronSecret));
        let providers = providers(&mut env);
        let webhook = webhook(&mut env);
        let poll_queue = poll_queue(&mut env);
        let store_mail_text = store_mail_text(&mut env);
        let audit_reads = audit_reads(&mut env);
        let redis = redis(&mut env);

        match (database, keys, public_url, origins, providers) {
            (Some(database), Some(keys), Some(public_url), Some(origins), Some(providers))
                if env.problems.is_empty() =>
            {
                Ok(Self {
                    database,
                    keys,
                    public_url,
                    origins,
                    sessions: key,
                    session_issuer,
                    service_keys,
                    cron_secret,
                    providers,
                    webhook,
                    poll_queue,
                    store_mail_text,
                    audit_reads,
                    redis,
                })
            }
            _ => Err(SettingsError(env.problems)),
        }
    }

    /// The database alone, for who needs no more.
    pub fn read_database(
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<DatabaseUrl, SettingsError> {
        read_part(lookup, database)
    }

    /// The cache alone, of this database.
    pub fn read_redis(
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<RedisUrl>, SettingsError> {
        read_part(lookup, |env| {
            let url = redis(env);
            env.problems.is_empty().then_some(url)
        })
    }

    /// The providers and their clients alone.
    pub fn read_providers(
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Registry, SettingsError> {
        read_part(lookup, providers)
    }

    /// `SESSION_SECRET` alone.
    pub fn read_sessions(
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SessionKey, SettingsError> {
        read_part(lookup, |env| sessions::key(env, true))
    }
}

fn read_part<T>(
    lookup: &dyn Fn(&str) -> Option<String>,
    part: impl FnOnce(&mut Environment<'_>) -> Option<T>,
) -> Result<T, SettingsError> {
    let mut env = Environment::new(lookup);
    part(&mut env).ok_or(SettingsError(env.problems))
}

fn database(env: &mut Environment<'_>) -> Option<DatabaseUrl> {
    let variable = match env.get("DATABASE_URL") {
        None if env.get("POSTGRES_URL").is_some() => "POSTGRES_URL",
        _ => "DATABASE_URL",
    };
    let url = env.required(variable, "it is where Postgres is, postgres://…")?;
    let certificates = env.get("DATABASE_CA_CERT");
    let parsed = DatabaseUrl::parse(&url, certificates);
    let variable = match parsed {
        Err(DatabaseUrlError::Certificate) => "DATABASE_CA_CERT",
        _ => variable,
    };
    env.checked(variable, parsed)
}

fn keys(env: &mut Environment<'_>) -> Option<KeyRing> {
    const PRIMARY: &str = PRIMARY_KEY;
    const RETIRED: &str = RETIRED_KEYS;
    let primary = env.required(PRIMARY, "make one with `openssl rand -base64 32`");
    let mut ring = primary.and_then(|text| env.checked(PRIMARY, KeyRing::parse(&text)))?;
    let retired = env.get(RETIRED).unwrap_or_default();
    for key in retired
        .split(',')
        .map(str::trim)
        .filter(|key| !key.is_empty())
    {
        let retired = ring.retire(key);
        env.checked(RETIRED, retired);
    }
    Some(ring)
}

fn providers(env: &mut Environment<'_>) -> Option<Registry> {
    let overrides = env.get("OAUTH_PROVIDERS");
    Registry::build(overrides.as_deref(), &|name| env.get(name))
        .map_err(|found| {
            for invalid in found {
                env.fail(&invalid.variable, invalid.message);
            }
        })
        .ok()
}

fn service_keys(env: &mut Environment<'_>, needed: bool) -> ServiceKeys {
    const VARIABLE: &str = "SERVICE_KEYS";
    let what = "it lists who may read tokens, as name:workspace-or-*:permissions:sha256-hex-of-key";
    let text = if needed {
        env.required(VARIABLE, what)
    } else {
        env.get(VARIABLE)
    };
    text.and_then(|text| env.checked(VARIABLE, ServiceKeys::parse(&text)))
        .unwrap_or_default()
}

/// As a bearer token can be written (RFC 6750 section 2.1), which also fits into the JSON
/// of a schedule as it stands.
fn cron_secret(env: &mut Environment<'_>, needed: bool) -> Option<CronSecret> {
    const VARIABLE: &str = "CRON_SECRET";
    let what = "it is what the scheduler shows; make one with `openssl rand -hex 32`";
    let secret = if needed {
        env.required(VARIABLE, what)
    } else {
        env.get(VARIABLE)
    }?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if secret.len() < 16 || !secret.bytes().all(plain) {
        env.fail(
            VARIABLE,
            "must have at least 16 characters, of letters, digits and -._~+/= only; make one with \
             `openssl rand -hex 32`",
        );
    }
    Some(CronSecret::new(secret))
}

fn redis(env: &mut Environment<'_>) -> Option<RedisUrl> {
    let certificates = env.get("REDIS_CA_CERT");
    let (variable, url) = ["REDIS_URL", "KV_URL"]
        .into_iter()
        .find_map(|variable| Some((variable, env.get(variable)?)))?;
    env.checked(variable, RedisUrl::parse(&url, certificates))
}

fn poll_queue(env: &mut Environment<'_>) -> Option<Queue> {
    const VARIABLE: &str = "POLL_QUEUE_URL";
    let url = env.get(VARIABLE)?;
    let credentials = env
        .get("AWS_ACCESS_KEY_ID")
        .zip(env.get("AWS_SECRET_ACCESS_KEY"))
        .map(|(id, secret)| {
            let session = env.get("AWS_SESSION_TOKEN").map(AwsSessionToken::new);
            Credentials::new(id, AwsSecretAccessKey::new(secret), session)
        });
    let queue = Queue::new(&url, env.get("AWS_REGION"), credentials);
    env.checked(VARIABLE, queue)
}

fn store_mail_text(env: &mut Environment<'_>) -> bool {
    const VARIABLE: &str = "STORE_MAIL_TEXT";
    match env.get(VARIABLE).as_deref().map(str::trim) {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => {
            env.fail(VARIABLE, "must be true or false");
            false
        }
    }
}

fn audit_reads(env: &mut Environment<'_>) -> AuditReads {
    const VARIABLE: &str = "AUDIT_READS";
    match env.get(VARIABLE).as_deref().map(str::trim) {
        None | Some("log") => AuditReads::Log,
        Some("table") => AuditReads::Table,
        Some(_) => {
            env.fail(VARIABLE, "must be log or table");
            AuditReads::Log
        }
    }
}

fn webhook(env: &mut Environment<'_>) -> Option<Endpoint> {
    const URL: &str = "WEBHOOK_URL";
    const SECRET: &str = "WEBHOOK_SECRET";
    match (env.get(URL), env.get(SECRET)) {
        (None, None) => None,
        (Some(url), Some(secrets)) => {
            let url = env.checked(URL, webhooks::parse_url(&url));
            let secrets = env.checked(SECRET, webhooks::parse_secrets(&secrets));
            Some(Endpoint::new(url?, secrets?))
        }
        (Some(_), None) => {
            env.fail(SECRET, "is not set; it signs what WEBHOOK_URL gets");
            None
        }
        (None, Some(_)) => {
            env.fail(URL, "is not set; without it WEBHOOK_SECRET signs nothing");
            None
        }
    }
}

#[cfg(test)]
mod tests;
