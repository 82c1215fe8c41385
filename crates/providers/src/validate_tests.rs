//! The rules that are neither about endpoints nor about scopes.

use serde_json::{Value, json};

use super::*;
use crate::merge::merge;

fn found_as(name: &str, over: Value) -> Vec<String> {
    let mut json = json!({"issuer": "https://id.acme.example"});
    merge(&mut json, over);
    let definition = Definition::from_json("acme", json).expect("readable");
    match definition.validate(name) {
        Ok(()) => Vec::new(),
        Err(invalid) => invalid.into_iter().map(|invalid| invalid.field).collect(),
    }
}

fn found(over: Value) -> Vec<String> {
    found_as("acme", over)
}

#[test]
fn an_issuer_is_enough() {
    assert_eq!(found(json!({})), [""; 0]);
}

#[test]
fn without_an_issuer_both_endpoints_are_needed() {
    let authorization = json!("https://acme.example/authorize");
    let token = json!("https://acme.example/token");

    assert_eq!(
        found(json!({"issuer": null})),
        ["authorization_endpoint", "token_endpoint"]
    );
    assert_eq!(
        found(json!({"issuer": null, "authorization_endpoint": authorization})),
        ["token_endpoint"]
    );
    assert_eq!(
        found(json!({"issuer": null, "token_endpoint": token})),
        ["authorization_endpoint"]
    );
    assert_eq!(
        found(json!({
            "issuer": null,
            "authorization_endpoint": authorization,
            "token_endpoint": token,
        })),
        [""; 0]
    );
}

#[test]
fn what_would_come_from_discovery_is_needed_without_an_issuer() {
    let with = |over: Value| {
        let mut json = json!({
            "issuer": null,
            "authorization_endpoint": "https://acme.example/authorize",
            "token_endpoint": "https://acme.example/token",
        });
        merge(&mut json, over);
        found(json)
    };

    assert_eq!(
        with(json!({"authorization_response_iss_parameter_supported": true})),
        ["issuer"]
    );
    assert_eq!(
        with(json!({"jwks_uri": "https://acme.example/keys"})),
        ["jwks_uri"]
    );
    assert_eq!(
        with(json!({"account": {"source": "userinfo", "id": "/id"}})),
        ["userinfo_endpoint"]
    );
    assert_eq!(
        with(json!({"revocation": {"method": "bearer_post"}})),
        ["revocation_endpoint"]
    );
}

#[test]
fn names_fit_into_paths_and_variables() {
    for name in ["a", "gmail", "google_calendar", "x2", &"a".repeat(49)] {
        assert_eq!(found_as(name, json!({})), [""; 0], "{name}");
    }
    for name in [
        "",
        "2x",
        "_a",
        "Gmail",
        "a-b",
        "a/b",
        "a b",
        "ä",
        &"a".repeat(50),
    ] {
        assert_eq!(found_as(name, json!({})), ["name"], "{name:?}");
    }
    assert_eq!(found(json!({"family": "Go-ogle"})), ["family"]);
}

#[test]
fn the_display_name_is_one_line_that_is_not_empty() {
    for name in [" ", "a\nb", "a\u{7}"] {
        assert_eq!(
            found(json!({"display_name": name})),
            ["display_name"],
            "{name:?}"
        );
    }
}

#[test]
fn reserved_authorization_parameters_are_refused() {
    for name in AUTHORIZATION
        .iter()
        .copied()
        .chain(["response_mode", "Client_ID", "STATE"])
    {
        let json = json!({"authorization_params": { name: "x" }});
        assert_eq!(found(json), [format!("authorization_params.{name}")]);
    }
    let json = json!({"authorization_params": {"access_type": "offline", "prompt": "consent"}});
    assert_eq!(found(json), [""; 0]);
}

#[test]
fn reserved_parameters_do_not_come_in_by_the_query() {
    for query in ["client_id=x", "a=b&%73tate=x", "user_scope=x"] {
        let json = json!({
            "authorization_endpoint": format!("https://acme.example/authorize?{query}"),
            "scope_parameter": "user_scope",
        });
        assert_eq!(found(json), ["authorization_endpoint"], "{query}");
    }
}

#[test]
fn the_scope_parameter_carries_scopes_only() {
    assert_eq!(found(json!({"scope_parameter": "user_scope"})), [""; 0]);
    for name in ["", "state", "redirect_uri", "a b"] {
        assert_eq!(
            found(json!({"scope_parameter": name})),
            ["scope_parameter"],
            "{name:?}"
        );
    }
    assert_eq!(
        found(
            json!({"scope_parameter": "user_scope", "authorization_params": {"user_scope": "x"}})
        ),
        ["authorization_params.user_scope"]
    );
}

#[test]
fn reserved_token_parameters_are_refused() {
    for name in TOKEN {
        assert_eq!(
            found(json!({"token_params": { name: "x" }})),
            [format!("token_params.{name}")]
        );
    }
    assert_eq!(found(json!({"token_params": {"expiring": "1"}})), [""; 0]);
}

#[test]
fn names_of_parameters_are_plain() {
    for member in ["authorization_params", "token_params"] {
        for name in ["", "a b", "a&b", "a=b"] {
            assert_eq!(
                found(json!({ member: { name: "x" }})),
                [format!("{member}.{name}")]
            );
        }
    }
}

#[test]
fn headers_cannot_break_the_request() {
    let header = |name: &str, value: &str| found(json!({"token_headers": { name: value }}));

    assert_eq!(
        header("x-include-refresh-token-hard-expires-in", "true"),
        [""; 0]
    );
    for name in HEADERS
        .iter()
        .copied()
        .chain(["Authorization", "", "a b", "a:b"])
    {
        assert_eq!(header(name, "x"), [format!("token_headers.{name}")]);
    }
    assert_eq!(header("a\r\nb", "x"), ["token_headers.a\\r\\nb"]);
    for value in ["a\r\nb: c", "a\0", "ä"] {
        assert_eq!(header("x-a", value), ["token_headers.x-a"], "{value:?}");
    }
}

#[test]
fn pointers_begin_with_a_slash() {
    for member in ["id", "label", "label_verified"] {
        for pointer in ["", "sub", "sub/x", "/a~2", "/a~"] {
            let mut account = json!({"label": "/email"});
            account[member] = pointer.into();
            assert_eq!(
                found(json!({ "account": account })),
                [format!("account.{member}")]
            );
        }
    }
    let account = json!({"id": "/data/0/id", "label": "/a~1b~0c", "label_verified": "/ok"});
    assert_eq!(found(json!({ "account": account })), [""; 0]);
}

#[test]
fn an_account_outside_oidc_says_where_its_id_is() {
    assert_eq!(
        found(json!({"account": {"source": "token_response"}})),
        ["account.id"]
    );
    assert_eq!(
        found(json!({"account": {"source": "userinfo"}})),
        ["account.id"]
    );
}

#[test]
fn a_verified_mark_needs_a_label() {
    assert_eq!(
        found(json!({"account": {"label_verified": "/email_verified"}})),
        ["account.label"]
    );
}

#[test]
fn lists_of_names_hold_no_empty_name() {
    for member in [
        "metadata",
        "callback_metadata",
        "bearer_token_types",
        "dead_grant_errors",
    ] {
        assert_eq!(found(json!({ member: ["a", " "] })), [member]);
    }
    assert_eq!(
        found(json!({"token_response_path": ""})),
        ["token_response_path"]
    );
}

#[test]
fn times_are_above_zero() {
    for member in [
        "default_expires_in",
        "refresh_margin",
        "min_refresh_interval",
        "refresh_token_idle_lifetime",
        "refresh_token_lifetime",
    ] {
        assert_eq!(found(json!({ member: 0 })), [member]);
        assert_eq!(found(json!({ member: 1 })), [""; 0]);
    }
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let json = json!({"token_endpoint": "http://acme.example", "scopes": ["a b"]});

    assert_eq!(
        found_as("Acme", json),
        ["name", "token_endpoint", "scopes[0]"]
    );
}

#[test]
fn an_invalid_member_reads_as_field_and_advice() {
    let definition = Definition::from_json("acme", json!({"issuer": "http://acme.example"}));

    let invalid = definition
        .expect("readable")
        .validate("acme")
        .expect_err("plain http");

    assert_eq!(
        invalid[0].to_string(),
        "issuer: use https; plain http is for loopback addresses only"
    );
}
