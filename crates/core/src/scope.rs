//! Scopes: reading what a provider echoes, and `has_scopes`, which looks at what
//! was granted and never at what was requested.

use grantkeep_providers::ScopeRules;
use serde::{Deserialize, Serialize};

/// Scopes in the order they were named, each once.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Vec<String>")]
pub struct ScopeSet(Vec<String>);

/// How strictly a granted scope has to name a required one.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The same scope or an alias of it.
    Strict,
    /// Also a broader scope that the provider's API accepts in its place.
    #[default]
    Effective,
}

/// These steer an OpenID Connect flow and are not always echoed when granted.
const FLOW_CONTROL: [&str; 2] = ["openid", "offline_access"];

impl ScopeSet {
    /// Reads a scope string as providers write it: joined by spaces, commas or both.
    pub fn parse(text: &str) -> Self {
        text.split([' ', ',', '\t', '\n'])
            .filter(|scope| !scope.is_empty())
            .collect()
    }

    /// The scopes, first named first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// As a slice, for the database and JSON.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One string, joined by `separator`.
    pub fn join(&self, separator: &str) -> String {
        self.0.join(separator)
    }

    /// These, then those of `other` that are not here yet.
    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    /// These, then those of `other` that are not here under any name: providers echo
    /// some scopes under another one, and nobody should be asked for the same twice.
    pub fn extended(&self, other: &Self, rules: &ScopeRules) -> Self {
        let own: Vec<String> = self.iter().map(|scope| canonical(scope, rules)).collect();
        let new = other
            .iter()
            .filter(|scope| !own.contains(&canonical(scope, rules)));
        self.iter().chain(new).collect()
    }

    /// Whether everything in `required` was granted. An entry of `required` with
    /// `|` in it is satisfied by any one of its alternatives.
    pub fn has_scopes(&self, required: &Self, rules: &ScopeRules, mode: Mode) -> bool {
        self.missing(required, rules, mode).is_empty()
    }

    /// What of `required` was not granted; of an entry with alternatives, the first.
    pub fn missing(&self, required: &Self, rules: &ScopeRules, mode: Mode) -> Self {
        required
            .iter()
            .filter(|entry| {
                !entry
                    .split('|')
                    .any(|scope| self.satisfies(scope, rules, mode))
            })
            .map(|entry| entry.split('|').next().unwrap_or(entry))
            .collect()
    }

    fn satisfies(&self, required: &str, rules: &ScopeRules, mode: Mode) -> bool {
        let wanted = canonical(required, rules);
        if is_flow_control(&wanted, rules) {
            return true;
        }
        self.iter()
            .map(|granted| canonical(granted, rules))
            .any(|granted| {
                granted == wanted || (mode == Mode::Effective && covers(&granted, &wanted, rules))
            })
    }
}

fn is_flow_control(scope: &str, rules: &ScopeRules) -> bool {
    FLOW_CONTROL.contains(&scope)
        || rules
            .flow_control
            .iter()
            .any(|f| canonical(f, rules) == scope)
}

/// One spelling for all that name the same scope.
fn canonical(scope: &str, rules: &ScopeRules) -> String {
    let fold = |text: &str| match rules.case_insensitive {
        true => text.to_ascii_lowercase(),
        false => text.to_owned(),
    };
    let folded = fold(scope);
    let short = rules
        .optional_prefix
        .as_deref()
        .and_then(|prefix| folded.strip_prefix(&fold(prefix)).map(str::to_owned))
        .unwrap_or(folded);
    rules
        .aliases
        .iter()
        .find(|(alias, _)| fold(alias) == short)
        .map_or(short, |(_, name)| fold(name))
}

fn covers(granted: &str, wanted: &str, rules: &ScopeRules) -> bool {
    rules
        .supersets
        .iter()
        .filter(|(broad, _)| canonical(broad, rules) == granted)
        .any(|(_, narrow)| narrow.iter().any(|scope| canonical(scope, rules) == wanted))
}

impl From<Vec<String>> for ScopeSet {
    fn from(scopes: Vec<String>) -> Self {
        scopes.iter().map(String::as_str).collect()
    }
}

impl<'a> FromIterator<&'a str> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = &'a str>>(scopes: I) -> Self {
        let mut set = Vec::<String>::new();
        for scope in scopes {
            if !set.iter().any(|known| known == scope) {
                set.push(scope.to_owned());
            }
        }
        Self(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: serde_json::Value) -> ScopeRules {
        serde_json::from_value(json).expect("rules")
    }

    fn granted(granted: &str, required: &str, rules: &ScopeRules, mode: Mode) -> bool {
        ScopeSet::parse(granted).has_scopes(&ScopeSet::parse(required), rules, mode)
    }

    #[test]
    fn sc04_nothing_required_is_always_granted_and_order_and_spaces_do_not_matter() {
        let none = ScopeRules::default();

        assert!(granted("", "", &none, Mode::Strict));
        assert!(!granted("", "a", &none, Mode::Strict));
        assert!(granted("b  a b", "a b", &none, Mode::Strict));
        assert!(!granted("ab", "a", &none, Mode::Effective));
    }

    #[test]
    fn sc05_aliases_count_always_and_supersets_only_effectively() {
        let rules = rules(serde_json::json!({
            "aliases": [["email", "https://id.example/email"]],
            "supersets": {"mail.modify": ["mail.read"]},
        }));

        assert!(granted(
            "https://id.example/email",
            "email",
            &rules,
            Mode::Strict
        ));
        assert!(granted(
            "email",
            "https://id.example/email",
            &rules,
            Mode::Strict
        ));
        assert!(granted("mail.modify", "mail.read", &rules, Mode::Effective));
        assert!(!granted("mail.modify", "mail.read", &rules, Mode::Strict));
        assert!(!granted(
            "mail.read",
            "mail.modify",
            &rules,
            Mode::Effective
        ));
    }

    #[test]
    fn sc07_flow_control_scopes_are_never_missing() {
        let rules = rules(serde_json::json!({"flow_control": ["refresh_token"]}));

        assert!(granted(
            "a",
            "a offline_access openid refresh_token",
            &rules,
            Mode::Strict
        ));
    }

    #[test]
    fn sc08_case_and_prefix_matter_unless_the_rules_say_otherwise() {
        let loose = rules(serde_json::json!({
            "case_insensitive": true,
            "optional_prefix": "https://graph.example/",
        }));

        assert!(granted(
            "https://graph.example/Mail.Read",
            "mail.read",
            &loose,
            Mode::Strict
        ));
        assert!(!granted(
            "Mail.Read",
            "mail.read",
            &ScopeRules::default(),
            Mode::Strict
        ));
    }

    #[test]
    fn sc11_a_comma_joined_echo_equals_a_space_joined_one() {
        assert_eq!(ScopeSet::parse("repo,gist"), ScopeSet::parse("repo gist"));
    }

    #[test]
    fn sc10_a_scope_is_not_asked_for_under_two_names() {
        let rules = rules(serde_json::json!({"aliases": [["email", "https://id.example/email"]]}));

        let asked = ScopeSet::parse("openid email").extended(
            &ScopeSet::parse("https://id.example/email openid offline_access"),
            &rules,
        );

        assert_eq!(asked.join(" "), "openid email offline_access");
    }

    #[test]
    fn one_of_several_alternatives_is_enough() {
        let none = ScopeRules::default();
        let required = ScopeSet::parse("read|modify");

        assert!(ScopeSet::parse("modify").has_scopes(&required, &none, Mode::Strict));
        assert_eq!(
            ScopeSet::parse("send")
                .missing(&required, &none, Mode::Strict)
                .join(" "),
            "read"
        );
    }
}
