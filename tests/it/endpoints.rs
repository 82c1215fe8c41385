//! Endpoints of providers come from the settings, and only those that are safe to talk to.

use std::collections::BTreeMap;

use grantkeep_core::settings::Settings;
use serde_json::{Value, json};

/// What is wrong with the settings when a template parameter has this value.
fn complaint(providers: &Value) -> String {
    let variables: BTreeMap<&str, String> = [
        ("DATABASE_URL", "postgres://u@127.0.0.1/d".to_owned()),
        (
            "OAUTH_ENCRYPTION_KEY",
            grantkeep_tests::api::ENCRYPTION_KEY.to_owned(),
        ),
        ("PUBLIC_URL", "https://auth.example".to_owned()),
        ("MICROSOFT_CLIENT_ID", "id".to_owned()),
        ("MICROSOFT_CLIENT_SECRET", "secret".to_owned()),
        ("OAUTH_PROVIDERS", providers.to_string()),
    ]
    .into();
    let read = Settings::read(&[], &|name| variables.get(name).cloned());
    read.err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

#[test]
fn ar06_template_values_cannot_lead_to_another_host() {
    let tenant = |value: &str| json!({"outlook": {"parameters": {"tenant": {"value": value}}}});

    for value in [
        "contoso.onmicrosoft.com@evil.test",
        "evil.test/#",
        "x%2eevil",
        "a/../../b",
        "e\u{3002}vil",
        "a\r\nb",
        "a?b",
        "",
        "..",
        "\\evil",
    ] {
        let complaint = complaint(&tenant(value));
        assert!(
            complaint.contains("OAUTH_PROVIDERS"),
            "{value:?}: {complaint}"
        );
    }
    assert_eq!(complaint(&tenant("contoso.onmicrosoft.com")), "");
    assert_eq!(complaint(&tenant("organizations")), "");
}

#[test]
fn ar06_endpoints_are_https_except_on_loopback() {
    let token_endpoint = |address: &str| json!({"outlook": {"token_endpoint": address}});

    for address in [
        "http://evil.test/token",
        "ftp://login.example/token",
        "https://user:pass@login.example/token",
        "https:///token",
        "not an address",
    ] {
        let complaint = complaint(&token_endpoint(address));
        assert!(
            complaint.contains("OAUTH_PROVIDERS"),
            "{address}: {complaint}"
        );
    }
    assert_eq!(complaint(&token_endpoint("http://127.0.0.1:9/token")), "");
}
