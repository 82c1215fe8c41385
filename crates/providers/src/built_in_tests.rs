//! Every definition that comes with Grantkeep, loaded as its users load it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

fn definitions() -> Vec<(&'static str, Definition)> {
    let read = |built_in: &'static BuiltIn| {
        let json = serde_json::from_str(built_in.json).expect("JSON");
        let definition = Definition::from_json(built_in.name, json).expect(built_in.name);
        (built_in.name, definition)
    };
    BUILT_IN.iter().map(read).collect()
}

fn definition(name: &str) -> Definition {
    let found = definitions().into_iter().find(|(other, _)| *other == name);
    found.expect("a built-in").1
}

#[test]
fn every_built_in_loads_and_is_valid() {
    for (name, definition) in definitions() {
        assert_eq!(definition.validate(name), Ok(()), "{name}");
    }
}

#[test]
fn built_ins_are_sorted_by_name_and_no_name_comes_twice() {
    let names: Vec<_> = BUILT_IN.iter().map(|built_in| built_in.name).collect();

    assert_eq!(names, Vec::from_iter(BTreeSet::from_iter(names.clone())));
    assert_eq!(names, ["gmail", "google_calendar", "outlook"]);
}

#[test]
fn what_is_for_readers_only_is_not_embedded() {
    for built_in in BUILT_IN {
        let json: Value = serde_json::from_str(built_in.json).expect("JSON");
        for member in ["docs", "checked", "extends"] {
            assert_eq!(json.get(member), None, "{} {member}", built_in.name);
        }
    }
}

#[test]
fn every_built_in_fills_its_templates() {
    for (name, mut definition) in definitions() {
        definition.fill_templates();
        for url in [
            &definition.issuer,
            &definition.authorization_endpoint,
            &definition.token_endpoint,
            &definition.userinfo_endpoint,
            &definition.jwks_uri,
            &definition.api_base,
        ]
        .into_iter()
        .flatten()
        {
            assert!(!url.contains('{'), "{name} {url}");
        }
        assert_eq!(
            definition.validate(name),
            Ok(()),
            "{name} is still valid once filled in"
        );
    }
}

#[test]
fn every_scope_that_a_built_in_names_may_be_asked_for() {
    for (name, definition) in definitions() {
        let allowed = definition
            .allowed_scopes
            .expect("built-ins list their scopes");
        let rules = definition.scope_rules;
        let required = definition
            .required_scopes
            .iter()
            .flat_map(|entry| entry.split('|'));
        let supersets = rules.supersets.iter();
        let named = (definition.scopes.iter().map(String::as_str).chain(required))
            .chain(rules.aliases.iter().flat_map(|(a, b)| [a.as_str(), b]))
            .chain(
                supersets
                    .flat_map(|(a, b)| [a].into_iter().chain(b))
                    .map(String::as_str),
            )
            .chain(rules.flow_control.iter().map(String::as_str));
        for scope in named {
            assert!(
                allowed.iter().any(|allowed| allowed == scope),
                "{name} {scope}"
            );
        }
    }
}

#[test]
fn what_is_requested_by_default_does_the_job() {
    for (name, definition) in definitions() {
        for entry in &definition.required_scopes {
            let requested = |one: &str| definition.scopes.iter().any(|scope| scope == one);
            assert!(entry.split('|').any(requested), "{name} {entry}");
        }
    }
}

#[test]
fn supersets_are_written_out_to_the_end() {
    for (name, definition) in definitions() {
        let supersets = &definition.scope_rules.supersets;
        for (scope, covered) in supersets {
            for further in covered
                .iter()
                .filter_map(|scope| supersets.get(scope))
                .flatten()
            {
                assert!(covered.contains(further), "{name}: {scope} lacks {further}");
            }
        }
    }
}

#[test]
fn one_google_revocation_reaches_the_whole_project_and_asks_for_no_client() {
    for name in ["gmail", "google_calendar"] {
        let definition = definition(name);
        assert_eq!(definition.revocation.reach, RevocationReach::ClientProject);
        assert_eq!(
            definition.revocation.auth_method,
            ClientAuthentication::None
        );
        assert_eq!(definition.refresh_tokens, RefreshTokens::Keep);
        assert!(!definition.send_scope_on_refresh);
    }
}

#[test]
fn reading_mail_never_counts_as_changing_it() {
    let supersets = definition("gmail").scope_rules.supersets;
    let modify = "https://www.googleapis.com/auth/gmail.modify";

    let covers_modify = supersets
        .iter()
        .filter(|(_, covered)| covered.iter().any(|s| s == modify));

    assert_eq!(
        covers_modify.map(|(s, _)| s).collect::<Vec<_>>(),
        ["https://mail.google.com/"]
    );
}

#[test]
fn an_operator_can_choose_the_microsoft_tenant() {
    let outlook = BUILT_IN
        .iter()
        .find(|built_in| built_in.name == "outlook")
        .expect("outlook");
    let mut json: Value = serde_json::from_str(outlook.json).expect("JSON");
    merge(
        &mut json,
        json!({"parameters": {"tenant": {"value": "contoso.example"}}}),
    );

    let mut definition = Definition::from_json("outlook", json).expect("readable");
    assert_eq!(definition.validate("outlook"), Ok(()));
    definition.fill_templates();

    assert_eq!(
        definition.token_endpoint.as_deref(),
        Some("https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token")
    );
    assert_eq!(
        definition.id_token_issuers,
        ["https://login.microsoftonline.com/{tid}/v2.0"]
    );
}

#[test]
fn an_operator_can_point_a_built_in_at_a_local_server() {
    let gmail = BUILT_IN
        .iter()
        .find(|built_in| built_in.name == "gmail")
        .expect("gmail");
    let mut json: Value = serde_json::from_str(gmail.json).expect("JSON");
    merge(
        &mut json,
        json!({"token_endpoint": "http://127.0.0.1:9000/token"}),
    );

    let definition = Definition::from_json("gmail", json).expect("readable");

    assert_eq!(definition.validate("gmail"), Ok(()));
}
