//! From JSON to a [`Definition`], naming every member that cannot be read.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::definition::Definition;
use crate::invalid::{Findings, Invalid};

impl Definition {
    /// Reads a definition; `name` gives the `display_name` where there is none.
    ///
    /// The error lists every unreadable member. It never repeats a value,
    /// which is why serde's own words are not passed on whole.
    pub fn from_json(name: &str, json: Value) -> Result<Definition, Vec<Invalid>> {
        let mut findings = Findings::default();
        let Value::Object(mut members) = json else {
            findings.add("", "write a JSON object");
            return Err(findings.0);
        };
        members
            .entry("display_name")
            .or_insert_with(|| title(name).into());

        let whole = match Definition::deserialize(&Value::Object(members.clone())) {
            Ok(definition) => return Ok(definition),
            Err(error) => error,
        };
        for (member, value) in members {
            // Members do not depend on each other, so the guilty are found one by one.
            let mut alone = Map::from_iter([("display_name".to_owned(), Value::from(""))]);
            alone.insert(member.clone(), value);
            if let Err(error) = Definition::deserialize(&Value::Object(alone)) {
                findings.add(
                    member.escape_debug().to_string(),
                    without_value(&member, &error),
                );
            }
        }
        if findings.0.is_empty() {
            findings.add("", without_value("", &whole));
        }
        Err(findings.0)
    }
}

fn without_value(member: &str, error: &serde_json::Error) -> String {
    let error = error.to_string();
    if error.starts_with(&format!(
        "unknown field `{member}`, expected one of `display_name`"
    )) {
        return "no such member: docs/providers.md lists them".to_owned();
    }
    if error.starts_with("unknown field") || error.starts_with("missing field") {
        return error;
    }
    match error.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "cannot be read: docs/providers.md says what belongs there".to_owned(),
    }
}

/// `acme_files` becomes `Acme Files`.
fn title(name: &str) -> String {
    let words = name.split('_').filter(|word| !word.is_empty()).map(|word| {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        first.to_uppercase() + rest
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(json: Value) -> Vec<String> {
        let errors = Definition::from_json("acme", json).expect_err("must be refused");
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_entry_without_a_display_name_is_called_by_its_name() {
        let json = json!({"issuer": "https://id.acme.example", "scopes": ["openid"]});

        let definition = Definition::from_json("acme_files", json).expect("readable");

        assert_eq!(definition.display_name, "Acme Files");
        assert_eq!(definition.scopes, ["openid"]);
    }

    #[test]
    fn every_unreadable_member_is_named_at_once() {
        let json = json!({"scopes": "openid", "refresh_margin": -1, "issuer": "https://a.example"});

        let errors = errors(json);

        assert_eq!(errors.len(), 2);
        assert!(
            errors[0].starts_with("refresh_margin: expected "),
            "{errors:?}"
        );
        assert!(errors[1].starts_with("scopes: expected "), "{errors:?}");
    }

    #[test]
    fn an_unknown_member_is_named() {
        assert_eq!(
            errors(json!({"pkce": true})),
            ["pkce: no such member: docs/providers.md lists them"]
        );
    }

    #[test]
    fn an_unknown_member_of_a_member_is_named() {
        let errors = errors(json!({"account": {"sub": "/id"}}));

        assert!(
            errors[0].starts_with("account: unknown field `sub`"),
            "{errors:?}"
        );
    }

    #[test]
    fn a_wrong_display_name_is_named() {
        assert_eq!(
            errors(json!({"display_name": 1})),
            ["display_name: expected a string"]
        );
    }

    #[test]
    fn values_are_not_repeated() {
        for json in [
            json!({"scopes": "s3cret"}),
            json!({"code_challenge_method": "s3cret"}),
            json!({"refresh_margin": "no, expected s3cret"}),
            json!({"token_params": ["s3cret"]}),
        ] {
            let errors = errors(json);
            assert!(!errors.concat().contains("s3cret"), "{errors:?}");
        }
    }

    #[test]
    fn only_an_object_is_a_definition() {
        assert_eq!(errors(json!(["acme"])), ["write a JSON object"]);
    }
}
