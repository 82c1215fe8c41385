//! The settings of the functions: what the environment says, and for the rest what
//! makes a complete system of throw-away parts.

use std::collections::BTreeMap;

use grantkeep_core::app::randomness;
use grantkeep_core::service_key;
use grantkeep_core::store::DatabaseUrl;
use grantkeep_demo_provider::client::{DEMO_CLIENT_ID, DEMO_CLIENT_SECRET};
use grantkeep_providers::{BUILT_IN, merge};
use serde_json::{Map, Value};

use crate::secrets;

const KEY: &str = "OAUTH_ENCRYPTION_KEY";
const PROVIDERS: &str = "OAUTH_PROVIDERS";
const SERVICE_KEYS: &str = "SERVICE_KEYS";

/// Where frontends in development are, by the tool that most of them are served with.
const FRONTENDS: &str = "http://127.0.0.1:5173,http://localhost:5173";

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
            .or_else(|| self.outside_value(name))
    }

    /// A variable's value if it was made here, and so is nobody's secret.
    pub fn made(&self, name: &str) -> Option<&str> {
        self.made.get(name).map(String::as_str)
    }

    fn outside_value(&self, name: &str) -> Option<String> {
        (self.outside)(name).filter(|value| !value.trim().is_empty())
    }

    fn make(&mut self, name: &str, value: String) {
        self.made.insert(name.to_owned(), value);
    }

    /// The URL of a database that is already there.
    pub fn database_url(&self) -> Option<String> {
        self.outside_value("DATABASE_URL")
            .or_else(|| self.outside_value("POSTGRES_URL"))
    }

    /// Uses the throw-away database.
    pub fn use_database(&mut self, url: String) {
        self.make("DATABASE_URL", url);
    }

    /// Sees to a key for tokens; true if it was made here and ends with this process.
    /// The error says why that may not be: rows of a database that others use would be
    /// unreadable for ever, and nobody would know.
    pub fn see_to_encryption_key(&mut self) -> Result<bool, String> {
        if self.outside_value(KEY).is_some() {
            return Ok(false);
        }
        let certificates = self.outside_value("DATABASE_CA_CERT");
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
                    self.outside_value(&variable).is_some()
                };
                !has_client(built_in.name) && !family.is_some_and(|family| has_client(&family))
            })
            .map(|built_in| built_in.name)
            .collect()
    }

    /// Points `names` at the demo provider, whose `OAUTH_PROVIDERS` are `settings`; what
    /// the environment says about them wins. Answers the names it knows.
    pub fn stand_in(&mut self, names: &[&'static str], settings: &Value) -> Vec<&'static str> {
        let own = self.outside_value(PROVIDERS);
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
            ("CRON_SECRET", secrets::key()),
            ("RETURN_TO_ORIGINS", FRONTENDS.to_owned()),
        ] {
            if self.outside_value(name).is_none() {
                self.make(name, value);
            }
        }
    }

    /// A service key that works beside those of the environment.
    pub fn add_service_key(&mut self, name: &str, workspace: &str, permissions: &str) -> String {
        let key = service_key::generate(randomness);
        let entry = service_key::entry(name, workspace, permissions, &key);
        let all = match self.get(SERVICE_KEYS) {
            Some(others) => format!("{others},{entry}"),
            None => entry,
        };
        self.make(SERVICE_KEYS, all);
        key
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn given(variables: &'static [(&'static str, &'static str)]) -> Variables {
        Variables::of(Box::new(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        }))
    }

    fn demo() -> Value {
        json!({
            "gmail": {"issuer": "http://127.0.0.1:1", "api_base": "http://127.0.0.1:1"},
            "outlook": {"issuer": "http://127.0.0.1:1"},
        })
    }

    fn providers(variables: &Variables) -> Value {
        let text = variables.get(PROVIDERS).expect("providers");
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn en08_a_remote_database_needs_a_lasting_key() {
        for url in [
            "postgres://u:p@db.example/d",
            "postgres://u:p@localhost,db.example/d",
            "postgres://u:p@localhost/d?hostaddr=192.0.2.7",
        ] {
            let mut variables = Variables::of(Box::new(move |name| {
                (name == "DATABASE_URL").then(|| url.to_owned())
            }));
            let refused = variables.see_to_encryption_key();
            assert!(refused.is_err_and(|said| said.contains(KEY)), "{url}");
        }
        let mut other_name = given(&[("POSTGRES_URL", "postgres://u:p@db.example/d")]);
        assert!(other_name.see_to_encryption_key().is_err());
        let mut with_key = given(&[
            ("DATABASE_URL", "postgres://u:p@db.example/d"),
            (KEY, "lasting"),
        ]);
        assert_eq!(with_key.see_to_encryption_key(), Ok(false));
        assert_eq!(with_key.get(KEY).as_deref(), Some("lasting"));
    }

    #[test]
    fn a_local_or_throw_away_database_gets_a_fresh_key() {
        let mut local = given(&[("DATABASE_URL", "postgres://u:p@localhost/d"), (KEY, " ")]);
        let mut none = given(&[]);

        assert_eq!(local.see_to_encryption_key(), Ok(true));
        assert_eq!(none.see_to_encryption_key(), Ok(true));
        assert_ne!(local.get(KEY), none.get(KEY));
    }

    #[test]
    fn the_demo_provider_stands_in_only_where_no_client_is_configured() {
        assert_eq!(
            given(&[]).without_client(),
            ["gmail", "google_calendar", "outlook"]
        );
        assert_eq!(
            given(&[("GOOGLE_CLIENT_ID", "x")]).without_client(),
            ["outlook"]
        );
        assert_eq!(
            given(&[("GMAIL_CLIENT_ID", "x")]).without_client(),
            ["google_calendar", "outlook"]
        );
    }

    #[test]
    fn a_real_provider_keeps_its_endpoints_and_its_client() {
        let mut variables = given(&[("GMAIL_CLIENT_ID", "real"), ("GMAIL_CLIENT_SECRET", "s")]);
        let names = variables.without_client();

        let known = variables.stand_in(&names, &demo());

        assert_eq!(known, ["outlook"]);
        assert_eq!(variables.get("GMAIL_CLIENT_ID").as_deref(), Some("real"));
        assert_eq!(
            variables.get("OUTLOOK_CLIENT_ID").as_deref(),
            Some(DEMO_CLIENT_ID)
        );
        assert!(providers(&variables).get("gmail").is_none());
    }

    #[test]
    fn providers_of_the_environment_are_laid_over_the_demo_providers() {
        let mut variables = given(&[(
            PROVIDERS,
            r#"{"gmail":{"scopes":["openid"]},"acme":{"issuer":"https://id.acme.example"}}"#,
        )]);

        variables.stand_in(&["gmail"], &demo());

        let providers = providers(&variables);
        assert_eq!(providers["gmail"]["scopes"], json!(["openid"]));
        assert_eq!(providers["gmail"]["issuer"], "http://127.0.0.1:1");
        assert_eq!(providers["acme"]["issuer"], "https://id.acme.example");
    }

    #[test]
    fn a_service_key_is_added_to_those_of_the_environment() {
        let mut variables = given(&[(SERVICE_KEYS, "mine:*:read:00")]);

        let key = variables.add_service_key("dev", "*", "read");

        let all = variables.get(SERVICE_KEYS).expect("keys");
        assert!(all.starts_with("mine:*:read:00,dev:*:read:"), "{all}");
        assert!(key.starts_with("gk_") && key.len() == 49 && !all.contains(&key));
    }

    #[test]
    fn a_frontend_in_development_may_be_returned_to_unless_the_environment_says_where() {
        let mut none = given(&[]);
        let mut own = given(&[("RETURN_TO_ORIGINS", "http://127.0.0.1:8080")]);

        none.see_to_the_rest("http://127.0.0.1:3000");
        own.see_to_the_rest("http://127.0.0.1:3000");

        assert_eq!(none.get("RETURN_TO_ORIGINS").as_deref(), Some(FRONTENDS));
        assert_eq!(
            own.get("RETURN_TO_ORIGINS").as_deref(),
            Some("http://127.0.0.1:8080")
        );
    }

    #[test]
    fn what_the_environment_says_wins() {
        let mut variables = given(&[("PUBLIC_URL", "https://tunnel.example")]);

        variables.see_to_the_rest("http://127.0.0.1:3000");

        assert_eq!(
            variables.get("PUBLIC_URL").as_deref(),
            Some("https://tunnel.example")
        );
        assert!(
            variables
                .get("SESSION_SECRET")
                .is_some_and(|s| s.len() >= 32)
        );
    }
}
