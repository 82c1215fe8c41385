//! Checks on everything in a definition that is a scope or joins scopes.

use crate::definition::Definition;
use crate::invalid::Findings;

const TOKEN: &str = "use visible ASCII characters without `\"` and `\\` (RFC 6749 section 3.3)";

pub(crate) fn check(definition: &Definition, findings: &mut Findings) {
    let rules = &definition.scope_rules;
    let separator = separator(&definition.scope_separator);
    if separator.is_none() {
        findings.add(
            "scope_separator",
            "write one character: a space or visible ASCII",
        );
    }

    let requested = [
        ("scopes", definition.scopes.as_slice()),
        (
            "allowed_scopes",
            definition.allowed_scopes.as_deref().unwrap_or_default(),
        ),
    ];
    for (field, scopes) in requested {
        for (i, scope) in scopes.iter().enumerate() {
            let field = format!("{field}[{i}]");
            if !is_token(scope) {
                findings.add(field, TOKEN);
            } else if separator.is_some_and(|separator| scope.contains(separator)) {
                findings.add(
                    field,
                    "write one scope per entry: this one holds the scope_separator",
                );
            }
        }
    }
    for (i, entry) in definition.required_scopes.iter().enumerate() {
        if !entry.split('|').all(is_token) {
            findings.add(
                format!("required_scopes[{i}]"),
                format!("in every alternative {TOKEN}"),
            );
        }
    }

    if let Some(mail) = &definition.mail {
        for (field, entry) in [
            ("mail.send_scope", &mail.send_scope),
            ("mail.read_scope", &mail.read_scope),
        ] {
            if !entry.split('|').all(is_token) {
                findings.add(field, format!("in every alternative {TOKEN}"));
            }
        }
        for (i, scope) in mail.read_denied_by.iter().enumerate() {
            if !is_token(scope) {
                findings.add(format!("mail.read_denied_by[{i}]"), TOKEN);
            }
        }
    }

    for (i, (a, b)) in rules.aliases.iter().enumerate() {
        let field = format!("scope_rules.aliases[{i}]");
        if !is_token(a) || !is_token(b) {
            findings.add(field, TOKEN);
        } else if a == b {
            findings.add(field, "write two different scopes, or remove the pair");
        }
    }
    for (i, (scope, covered)) in rules.supersets.iter().enumerate() {
        if !is_token(scope) || !covered.iter().all(|scope| is_token(scope)) {
            findings.add(
                "scope_rules.supersets",
                format!("in entry {} {TOKEN}", i + 1),
            );
        }
    }
    for (i, scope) in rules.flow_control.iter().enumerate() {
        if !is_token(scope) {
            findings.add(format!("scope_rules.flow_control[{i}]"), TOKEN);
        }
    }
    if rules
        .optional_prefix
        .as_deref()
        .is_some_and(|prefix| !is_token(prefix))
    {
        findings.add("scope_rules.optional_prefix", TOKEN);
    }
}

fn separator(text: &str) -> Option<char> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(only @ ' '..='~'), None) => Some(only),
        _ => None,
    }
}

/// `scope-token` of RFC 6749 section 3.3.
fn is_token(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(json: Value) -> Vec<String> {
        let definition = Definition::from_json("acme", json).expect("readable");
        let mut findings = Findings::default();
        check(&definition, &mut findings);
        findings
            .0
            .into_iter()
            .map(|invalid| invalid.field)
            .collect()
    }

    #[test]
    fn scopes_hold_the_characters_of_rfc_6749() {
        assert!(is_token("https://www.googleapis.com/auth/gmail.readonly"));
        assert!(is_token("!#[]~"));
        for scope in ["", "a b", "a\"b", "a\\b", "a\n", "\u{7f}", "ä"] {
            assert!(!is_token(scope), "{scope:?}");
        }
    }

    #[test]
    fn a_malformed_scope_is_named_by_its_place() {
        assert_eq!(fields(json!({"scopes": ["a", "b c"]})), ["scopes[1]"]);
        assert_eq!(
            fields(json!({"allowed_scopes": [""]})),
            ["allowed_scopes[0]"]
        );
        assert_eq!(
            fields(json!({"scope_rules": {
                "aliases": [["a", "b"], ["c", "d "]],
                "supersets": {"e": ["f\""]},
                "flow_control": ["g\\"],
                "optional_prefix": "",
            }})),
            [
                "scope_rules.aliases[1]",
                "scope_rules.supersets",
                "scope_rules.flow_control[0]",
                "scope_rules.optional_prefix"
            ]
        );
    }

    #[test]
    fn every_alternative_of_a_required_scope_is_a_scope() {
        assert!(fields(json!({"required_scopes": ["a|b", "c"]})).is_empty());
        for entry in ["", "a|", "|a", "a||b", "a|b c"] {
            assert_eq!(
                fields(json!({"required_scopes": [entry]})),
                ["required_scopes[0]"]
            );
        }
    }

    #[test]
    fn the_separator_is_one_character() {
        for separator in [" ", ",", "+"] {
            assert!(
                fields(json!({"scope_separator": separator})).is_empty(),
                "{separator:?}"
            );
        }
        for separator in ["", ", ", "\n", "、"] {
            assert_eq!(
                fields(json!({"scope_separator": separator})),
                ["scope_separator"]
            );
        }
    }

    #[test]
    fn a_scope_does_not_hold_the_separator() {
        assert_eq!(
            fields(json!({"scope_separator": ",", "scopes": ["a,b"]})),
            ["scopes[0]"]
        );
    }

    #[test]
    fn an_alias_pairs_two_different_scopes() {
        assert_eq!(
            fields(json!({"scope_rules": {"aliases": [["a", "a"]]}})),
            ["scope_rules.aliases[0]"]
        );
    }
}
