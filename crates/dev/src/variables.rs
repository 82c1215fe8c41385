//! The settings of the functions: what the environment says, and for the rest what
//! makes a complete system of throw-away parts.

use std::collections::BTreeMap;

use grantkeep_core::store::DatabaseUrl;
use grantkeep_demo_provider::client::{DEMO_CLIENT_ID, DEMO_CLIENT_SECRET};
use grantkeep_providers::{BUILT_IN, merge};
use serde_json::{Map, Value};

use crate::secrets;

const KEY: &str = "OAUTH_ENCRYPTION_KEY";
const PROVIDERS: &str = "OAUTH_PROVIDERS";
const SERVICE_KEYS: &str = "SERVICE_KEYS";

type Lookup = Box<dyn Fn(&str) -> Option<String>>;

/// Environment variables, with those that were made here.
pub struct Variables {
    outside: Lookup,
    made: BTreeMap<String, String>,
}

impl Variables {
    /// Of this process.
    pub fn of_process() -> Self {
        Self::of(Box::new(|name| std::env::var(name).ok()))
    }

    /// Of what `outside` knows; an empty variable counts as absent, as for the functions.
    pub fn of(outside: Lookup) -> Self {
        Self {
            outside,
            made: BTreeMap::new(),
        }
    }

    /// A variable's value: the one made here, else the one from outside.
    pub fn get(&self, name: &str) -> Option<String> {
        self.made
            .get(name)
            .cloned()
            .or_else(|| self.from_outside(name))
    }

    fn from_outside(&self, name: &str) -> Option<String> {
        (self.outside)(name).filter(|value| !value.trim().is_empty())
    }

    fn make(&mut self, name: &str, value: String) {
        self.made.insert(name.to_owned(), value);
    }

    /// The URL of a database that is already there.
    pub fn database_url(&self) -> Option<String> {
        self.from_outside("DATABASE_URL")
            .or_else(|| self.from_outside("POSTGRES_URL"))
    }

    /// Uses the throw-away database.
    pub fn use_database(&mut self, url: String) {
        self.make("DATABASE_URL", url);
    }

    /// Sees to a key for tokens; true if it was made here and ends with this process.
    /// The error says why that may not be: rows of a database that others use would be
    /// unreadable for ever, and nobody would know.
    pub fn see_to_encryption_key(&mut self) -> Result<bool, String> {
        if self.from_outside(KEY).is_some() {
            return Ok(false);
        }
        let certificates = self.from_outside("DATABASE_CA_CERT");
        let url = self
            .database_url()
            .map(|url| DatabaseUrl::parse(&url, certificates));
        // A URL that cannot be read is named with all other settings.
        if let Some(Ok(url)) = url
            && !url.is_local()
        {
            return Err(format!(
                "DATABASE_URL is a database on another machine, and {KEY} is not set: a key that \
                 ends with this process would leave rows there that nobody can read. Set {KEY} \
                 (`openssl rand -base64 32`), or unset DATABASE_URL for a throw-away database"
            ));
        }
        self.make(KEY, secrets::key());
        Ok(true)
    }

    /// Built-in providers without a client in the environment, which the demo provider
    /// can stand in for.
    pub fn without_client(&self) -> Vec<&'static str> {
        BUILT_IN
            .iter()
            .filter(|built_in| {
                let family = serde_json::from_str::<Value>(built_in.json)
                    .ok()
                    .and_then(|definition| Some(definition.get("family")?.as_str()?.to_owned()));
                let has_client = |prefix: &str| {
                    let variable = format!("{}_CLIENT_ID", prefix.to_ascii_uppercase());
                    self.from_outside(&variable).is_some()
                };
                !has_client(built_in.name) && !family.is_some_and(|family| has_client(&family))
            })
            .map(|built_in| built_in.name)
            .collect()
    }

    /// Points `names` at the demo provider, whose `OAUTH_PROVIDERS` are `settings`; what
    /// the environment says about them wins. Answers the names it knows.
    pub fn stand_in(&mut self, names: &[&'static str], settings: &Value) -> Vec<&'static str> {
        let own = self.from_outside(PROVIDERS);
        let own = match own
            .as_deref()
            .map(serde_json::from_str::<Map<String, Value>>)
        {
            // Named with all other settings when they are read.
            Some(Err(_)) => return Vec::new(),
            Some(Ok(own)) => own,
            None => Map::new(),
        };
        let mut entries = Value::Object(Map::new());
        let mut known = Vec::new();
        for name in names {
            let Some(entry) = settings.get(name) else {
                continue;
            };
            entries[name] = entry.clone();
            let prefix = name.to_ascii_uppercase();
            self.make(&format!("{prefix}_CLIENT_ID"), DEMO_CLIENT_ID.to_owned());
            self.make(
                &format!("{prefix}_CLIENT_SECRET"),
                DEMO_CLIENT_SECRET.to_owned(),
            );
            known.push(*name);
        }
        merge(&mut entries, Value::Object(own));
        self.make(PROVIDERS, entries.to_string());
        known
    }

    /// Sees to the rest. `origin` is where the functions are.
    pub fn see_to_the_rest(&mut self, origin: &str) {
        for (name, value) in [
            ("PUBLIC_URL", origin.to_owned()),
            ("SESSION_SECRET", secrets::key()),
        ] {
            if self.from_outside(name).is_none() {
                self.make(name, value);
            }
        }
    }

    /// A service key that works beside those of the environment.
    pub fn add_service_key(&mut self, name: &str, workspace: &str, permissions: &str) -> String {
        let key = secrets::service_key();
        let entry = secrets::service_keys_entry(name, workspace, permissions, &key);
        let all = match self.get(SERVICE_KEYS) {
            Some(others) => format!("{others},{entry}"),
            None => entry,
        };
        self.make(SERVICE_KEYS, all);
        key
    }
}
