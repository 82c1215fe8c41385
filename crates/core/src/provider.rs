//! The providers this deployment can talk to: definitions that have a client.

use std::collections::BTreeMap;

pub use grantkeep_providers::Definition;
use grantkeep_providers::{BUILT_IN, ScopeRules};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use crate::http::Http;
use crate::oauth::discovery::{self, DiscoveryError};
use crate::scope::{Mode, ScopeSet};
use crate::secret::ClientSecret;

/// Our registration at a provider (RFC 6749 section 2).
#[derive(Debug)]
pub struct Client {
    /// RFC 6749 section 2.2.
    pub id: String,
    /// Absent for public clients.
    pub secret: Option<ClientSecret>,
}

/// One provider with the client that speaks to it.
#[derive(Debug)]
pub struct Provider {
    /// As in routes and settings, such as `gmail`.
    pub name: String,
    /// Our registration there.
    pub client: Client,
    /// What the environment said before discovery; complete for everything but endpoints.
    configured: Definition,
    discovered: OnceCell<Definition>,
}

impl Provider {
    /// What users read on the connect page.
    pub fn display_name(&self) -> &str {
        &self.configured.display_name
    }

    /// How this provider's scopes compare.
    pub fn scope_rules(&self) -> &ScopeRules {
        &self.configured.scope_rules
    }

    /// What is asked for when the caller wants nothing more.
    pub fn default_scopes(&self) -> ScopeSet {
        self.configured.scopes.iter().map(String::as_str).collect()
    }

    /// Without these a connection does not do its job.
    pub fn required_scopes(&self) -> ScopeSet {
        self.configured
            .required_scopes
            .iter()
            .map(String::as_str)
            .collect()
    }

    /// Whether a caller may ask for this scope.
    pub fn allows_scope(&self, scope: &str) -> bool {
        self.configured
            .allowed_scopes
            .as_ref()
            .is_none_or(|allowed| {
                let asked: ScopeSet = [scope].into_iter().collect();
                allowed
                    .iter()
                    .chain(&self.configured.scopes)
                    .map(String::as_str)
                    .collect::<ScopeSet>()
                    .has_scopes(&asked, &self.configured.scope_rules, Mode::Strict)
            })
    }

    /// What a connection's user did not grant of what its job needs and of what was asked.
    pub fn missing_scopes(&self, granted: &ScopeSet, requested: &ScopeSet) -> ScopeSet {
        let wanted = self.required_scopes().union(requested);
        granted.missing(&wanted, self.scope_rules(), Mode::Effective)
    }

    /// Facts that need no endpoint: rotation, margins, response mode.
    pub fn configured(&self) -> &Definition {
        &self.configured
    }

    /// The complete definition; asks the issuer once per instance where endpoints are
    /// not configured.
    pub async fn definition(&self, http: &Http) -> Result<&Definition, DiscoveryError> {
        let complete = self.configured.authorization_endpoint.is_some()
            && self.configured.token_endpoint.is_some();
        if complete {
            return Ok(&self.configured);
        }
        self.discovered
            .get_or_try_init(|| discovery::complete(http, &self.name, &self.configured))
            .await
    }
}

/// The providers with a client, by name.
#[derive(Debug, Default)]
pub struct Registry(BTreeMap<String, Provider>);

/// One thing wrong with a provider's settings.
#[derive(Debug, Eq, PartialEq)]
pub struct Invalid {
    /// The environment variable.
    pub variable: String,
    /// What to do about it.
    pub message: String,
}

impl Registry {
    /// Merges `overrides` (the JSON of `OAUTH_PROVIDERS`) over the built-in definitions
    /// and keeps every provider whose client id `variable` knows.
    pub fn build(
        overrides: Option<&str>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<Invalid>> {
        let overrides = match overrides.map(serde_json::from_str::<Map<String, Value>>) {
            None => Map::new(),
            Some(Ok(overrides)) => overrides,
            Some(Err(error)) => {
                return Err(vec![invalid(format!(
                    "must be a JSON object of providers by name: line {} column {} is not",
                    error.line(),
                    error.column()
                ))]);
            }
        };
        let names = BUILT_IN
            .iter()
            .map(|built_in| built_in.name)
            .chain(overrides.keys().map(String::as_str))
            .collect::<std::collections::BTreeSet<_>>();

        let mut registry = BTreeMap::new();
        let mut problems = Vec::new();
        for name in names {
            match one(name, overrides.get(name), variable) {
                Ok(Some(provider)) => {
                    registry.insert(name.to_owned(), provider);
                }
                Ok(None) => {}
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            Ok(Self(registry))
        } else {
            Err(problems)
        }
    }

    /// A provider by name, if it is known and has a client.
    pub fn find(&self, name: &str) -> Option<&Provider> {
        self.0.get(name)
    }

    /// Every provider with a client, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.values()
    }
}

fn invalid(message: String) -> Invalid {
    Invalid {
        variable: "OAUTH_PROVIDERS".to_owned(),
        message,
    }
}

fn one(
    name: &str,
    overrides: Option<&Value>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Provider>, Vec<Invalid>> {
    let built_in = BUILT_IN.iter().find(|built_in| built_in.name == name);
    let damaged = || {
        vec![invalid(format!(
            "{name}: the built-in definition is damaged"
        ))]
    };
    let (configured, client) = match (built_in, overrides) {
        // The usual case, and at every cold start: nothing is read of a provider without
        // a client, and what was checked at build time is not checked again.
        (Some(built_in), None) => {
            let Some(client) = client(name, built_in.family, variable) else {
                return Ok(None);
            };
            (built_in.definition().ok_or_else(damaged)?, client)
        }
        (built_in, over) => {
            let members = built_in.map_or(Ok(Map::new()), |built_in| {
                serde_json::from_str(built_in.json).map_err(|_| damaged())
            })?;
            let configured = overridden(name, members, over)?;
            match client(name, configured.family.as_deref(), variable) {
                Some(client) => (configured, client),
                None => return Ok(None),
            }
        }
    };
    let (prefix, id) = client;
    let secret_variable = format!("{prefix}_CLIENT_SECRET");
    let secret = variable(&secret_variable).map(ClientSecret::new);
    let public =
        configured.token_endpoint_auth_method == grantkeep_providers::ClientAuthentication::None;
    if secret.is_none() && !public {
        let message = format!("is not set, but {prefix}_CLIENT_ID is");
        return Err(vec![Invalid {
            variable: secret_variable,
            message,
        }]);
    }
    Ok(Some(Provider {
        name: name.to_owned(),
        client: Client { id, secret },
        configured,
        discovered: OnceCell::new(),
    }))
}

/// The prefix of the variables that name the client, and the client id: those of the
/// provider itself, else those of its family.
fn client(
    name: &str,
    family: Option<&str>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<(String, String)> {
    [Some(name), family].into_iter().flatten().find_map(|word| {
        let prefix = word.to_ascii_uppercase();
        let id = variable(&format!("{prefix}_CLIENT_ID"))?;
        Some((prefix, id))
    })
}

/// A definition with the members of the setting over it, checked.
fn overridden(
    name: &str,
    mut members: Map<String, Value>,
    over: Option<&Value>,
) -> Result<Definition, Vec<Invalid>> {
    match over {
        None => {}
        Some(Value::Object(over)) => overlay(&mut members, over),
        Some(_) => return Err(vec![invalid(format!("{name}: must be an object"))]),
    }
    let named = |found: Vec<grantkeep_providers::Invalid>| {
        found
            .iter()
            .map(|i| invalid(format!("{name}: {i}")))
            .collect::<Vec<_>>()
    };
    let mut configured = Definition::from_json(name, Value::Object(members)).map_err(named)?;
    configured.validate(name).map_err(named)?;
    configured.fill_templates();
    Ok(configured)
}

/// Members of `over` win (RFC 7396). Another token endpoint is another authorization
/// server: what is known about the identity and revocation documents of the first one
/// does not hold for it and goes, unless it is given too.
fn overlay(members: &mut Map<String, Value>, over: &Map<String, Value>) {
    if over.contains_key("token_endpoint") || over.contains_key("issuer") {
        for member in [
            "issuer",
            "id_token_issuers",
            "jwks_uri",
            "userinfo_endpoint",
            "revocation_endpoint",
        ] {
            members.remove(member);
        }
    }
    let mut merged = Value::Object(std::mem::take(members));
    grantkeep_providers::merge(&mut merged, Value::Object(over.clone()));
    if let Value::Object(merged) = merged {
        *members = merged;
    }
    drop_unused_parameters(members, over);
}

/// Endpoints that were replaced leave the first ones' template parameters without use;
/// one that the setting itself names stays, and is reported.
fn drop_unused_parameters(members: &mut Map<String, Value>, over: &Map<String, Value>) {
    let endpoints: Vec<String> = members
        .values()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let named = over.get("parameters").and_then(Value::as_object);
    if let Some(Value::Object(parameters)) = members.get_mut("parameters") {
        parameters.retain(|name, _| {
            named.is_some_and(|named| named.contains_key(name))
                || endpoints
                    .iter()
                    .any(|endpoint| endpoint.contains(&format!("{{{name}}}")))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(overrides: &str, variables: &[(&str, &str)]) -> Result<Registry, Vec<Invalid>> {
        let lookup = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Registry::build(Some(overrides), &lookup)
    }

    const ACME: &str = r#"{"acme":{"issuer":"https://id.acme.example","scopes":["files.read"]}}"#;

    #[test]
    fn a_provider_without_a_client_id_is_not_there() {
        assert!(build(ACME, &[]).expect("valid").find("acme").is_none());
    }

    #[test]
    fn a_provider_of_the_settings_has_its_own_variables_and_a_readable_name() {
        let registry = build(
            ACME,
            &[("ACME_CLIENT_ID", "id"), ("ACME_CLIENT_SECRET", "s")],
        )
        .expect("valid");

        let acme = registry.find("acme").expect("configured");
        assert_eq!(
            (acme.client.id.as_str(), acme.display_name()),
            ("id", "Acme")
        );
    }

    #[test]
    fn every_problem_is_named_with_its_provider_and_member() {
        let found = build(
            r#"{"acme":{"issuer":"http://id.acme.example"},"other":7}"#,
            &[("ACME_CLIENT_ID", "id")],
        )
        .expect_err("invalid");

        let text = found
            .iter()
            .map(|i| i.message.as_str())
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            text.contains("acme: issuer") && text.contains("other: must be an object"),
            "{text}"
        );
    }

    #[test]
    fn a_client_id_without_its_secret_is_named() {
        let found = build(ACME, &[("ACME_CLIENT_ID", "id")]).expect_err("no secret");

        assert_eq!(found[0].variable, "ACME_CLIENT_SECRET");
    }

    #[test]
    fn an_own_client_wins_over_the_familys() {
        let overrides = r#"{"a":{"issuer":"https://a.example","family":"fam"},"b":{"issuer":"https://b.example","family":"fam"}}"#;
        let registry = build(
            overrides,
            &[
                ("FAM_CLIENT_ID", "family"),
                ("FAM_CLIENT_SECRET", "s"),
                ("B_CLIENT_ID", "own"),
                ("B_CLIENT_SECRET", "s"),
            ],
        )
        .expect("valid");

        let id = |name| {
            registry
                .find(name)
                .map(|provider| provider.client.id.as_str())
        };
        assert_eq!((id("a"), id("b")), (Some("family"), Some("own")));
    }

    #[test]
    fn another_token_endpoint_drops_the_identity_documents_of_the_first() {
        let mut definition = Map::from_iter([
            (
                "jwks_uri".to_owned(),
                Value::from("https://first.example/keys"),
            ),
            ("api_base".to_owned(), Value::from("https://api.example")),
        ]);
        let over = Map::from_iter([(
            "token_endpoint".to_owned(),
            Value::from("http://127.0.0.1:9000/token"),
        )]);

        overlay(&mut definition, &over);

        assert!(!definition.contains_key("jwks_uri") && definition.contains_key("api_base"));
    }
}
