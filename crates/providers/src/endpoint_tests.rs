//! What an endpoint may and may not look like.

use serde_json::{Value, json};

use super::*;

fn found(json: Value) -> Vec<String> {
    let definition = Definition::from_json("acme", json).expect("readable");
    let mut findings = Findings::default();
    check(&definition, &mut findings);
    findings.0.iter().map(ToString::to_string).collect()
}

fn fields(json: Value) -> Vec<String> {
    let field = |text: String| text.split(": ").next().unwrap_or_default().to_owned();
    found(json).into_iter().map(field).collect()
}

const MEMBERS: [&str; 7] = [
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "api_base",
];

#[test]
fn https_is_accepted_everywhere() {
    for member in MEMBERS {
        for url in [
            "https://acme.example/a",
            "https://acme.example:8443/a",
            "https://192.0.2.1",
        ] {
            assert_eq!(found(json!({ member: url })), [""; 0], "{member} {url}");
        }
    }
}

#[test]
fn plain_http_is_for_loopback_only() {
    for url in [
        "http://127.0.0.1:9000/token",
        "http://127.8.9.1/token",
        "http://[::1]:9000/token",
        "http://localhost:9000/token",
    ] {
        assert_eq!(found(json!({"token_endpoint": url})), [""; 0], "{url}");
    }
    for member in MEMBERS {
        for url in [
            "http://acme.example/token",
            "http://192.0.2.1/token",
            "http://localhost.acme.example/token",
            "http://127.0.0.1.acme.example/token",
            "http://[::2]/token",
            "ftp://127.0.0.1/token",
        ] {
            assert_eq!(fields(json!({ member: url })), [member], "{url}");
        }
    }
}

#[test]
fn what_is_not_a_plain_url_is_refused() {
    for url in [
        "",
        "acme.example/token",
        "https:acme.example/token",
        "https:///token",
        "mailto:a@acme.example",
        "https://user@acme.example/token",
        "https://user:pass@acme.example/token",
        "https://@acme.example/token",
        "https://acme.example/token#",
        "https://acme.example/token#part",
        "https://ACME.example/token",
        "https://acme%2eexample/token",
        "https://acme\u{3002}example/token",
        "https://acme.example\\@evil.test/token",
        "https://acme.example/a\\..\\token",
        "https:///user@acme.example/token",
        "https:user@acme.example/token",
        "https://acme.exa\tmple/token",
        "https://acme.example/token\r\nHost: evil.test",
        " https://acme.example/token",
        "https://2130706433/token",
        "https://0x7f.1/token",
    ] {
        assert_eq!(
            fields(json!({"token_endpoint": url})),
            ["token_endpoint"],
            "{url:?}"
        );
    }
}

#[test]
fn the_error_does_not_repeat_the_url() {
    let found = found(json!({"token_endpoint": "https://user:s3cret@acme.example/token"}));

    assert_eq!(
        found,
        ["token_endpoint: remove the user information before `@`"]
    );
}

#[test]
fn issuer_and_api_base_have_no_query() {
    for member in ["issuer", "api_base"] {
        let json = json!({ member: "https://acme.example/?a=b" });
        assert_eq!(found(json), [format!("{member}: remove the query")]);
    }
    let json = json!({"authorization_endpoint": "https://acme.example/authorize?owner=user"});
    assert_eq!(found(json), [""; 0]);
}

fn shop(value: &str) -> Value {
    json!({
        "token_endpoint": "https://{shop}/admin/oauth/access_token",
        "parameters": {"shop": {"value": value, "form": "host", "suffix": ".myshopify.com"}},
    })
}

#[test]
fn a_host_parameter_is_the_whole_host() {
    assert_eq!(found(shop("a.myshopify.com")), [""; 0]);
    for url in [
        "https://a.{shop}/",
        "https://{shop}.test/",
        "https://a.test/{shop}/",
    ] {
        let mut json = shop("a.myshopify.com");
        json["token_endpoint"] = url.into();
        let found = found(json);
        assert_eq!(
            found,
            ["token_endpoint: `{shop}` may only be the whole host"],
            "{url}"
        );
    }
    let mut port = shop("a.myshopify.com");
    port["token_endpoint"] = "https://{shop}:8443/token".into();
    assert_eq!(found(port), [""; 0]);
}

#[test]
fn hosts_that_lead_elsewhere_are_refused_by_value() {
    for value in [
        "a.myshopify.com@evil.test",
        "evil.test/#",
        "evil.test/#.myshopify.com",
        "x%2eevil",
        "evil\u{3002}test",
        "a.myshopify.com\r\n",
    ] {
        assert!(
            fields(shop(value)).contains(&"parameters.shop.value".to_owned()),
            "{value:?}"
        );
    }
}

#[test]
fn hosts_that_lead_elsewhere_are_refused_by_destination_too() {
    for value in [
        "a.myshopify.com@evil.test",
        "evil.test/#",
        "evil.test/x",
        "evil.test?x",
        "evil.test:443",
        "evil.test\\x",
        "x%2eevil",
        "evil\u{3002}test",
        "a.myshopify.com\r\n",
        "127.1",
    ] {
        let parameter = TemplateParameter {
            value: value.to_owned(),
            form: TemplateForm::Host,
            suffix: None,
        };
        let parameters = BTreeMap::from([("shop".to_owned(), parameter)]);
        assert!(
            destination("https://{shop}/token", &parameters, None).is_err(),
            "{value:?}"
        );
    }
}

#[test]
fn a_segment_parameter_is_a_whole_segment() {
    let json = |url: &str| {
        json!({
            "token_endpoint": url,
            "parameters": {"tenant": {"value": "common", "form": "segment"}},
        })
    };
    for url in [
        "https://a.test/{tenant}",
        "https://a.test/{tenant}/b/{tenant}?c=d",
    ] {
        assert_eq!(found(json(url)), [""; 0], "{url}");
    }
    for url in [
        "https://{tenant}/",
        "https://{tenant}.a.test/",
        "https://a.test/x{tenant}",
        "https://a.test/?b={tenant}",
        "https://a.test/{tenant}?b=/{tenant}/",
    ] {
        let found = found(json(url));
        let expected = "token_endpoint: `{tenant}` may only be a whole segment of the path";
        assert_eq!(found, [expected], "{url}");
    }
}

#[test]
fn every_name_in_braces_has_a_value() {
    assert_eq!(
        found(json!({"token_endpoint": "https://a.test/{tenant}"})),
        ["token_endpoint: `{tenant}` has no value: add it to `parameters`"]
    );
    assert_eq!(
        found(json!({"token_endpoint": "https://a.test/{tenant"})),
        ["token_endpoint: pair up the braces: `{name}`"]
    );
}

#[test]
fn every_parameter_is_used() {
    let json = json!({
        "token_endpoint": "https://a.test/",
        "parameters": {"tenant": {"value": "common", "form": "segment"}},
    });

    assert_eq!(fields(json), ["parameters.tenant"]);
}

#[test]
fn names_that_requests_fill_in_are_no_parameters() {
    for name in ["token", "client_id", "tid"] {
        let json = json!({
            "token_endpoint": format!("https://a.test/{{{name}}}"),
            "parameters": { name: {"value": "common", "form": "segment"}},
        });
        assert_eq!(fields(json), [format!("parameters.{name}")]);
    }
}

#[test]
fn a_revocation_may_hold_what_its_method_fills_in() {
    for (method, name) in [
        ("delete_token_path", "token"),
        ("delete_access_token", "client_id"),
    ] {
        let json =
            |url: String| json!({"revocation_endpoint": url, "revocation": {"method": method}});
        assert_eq!(found(json(format!("https://a.test/{{{name}}}/x"))), [""; 0]);
        assert_eq!(
            fields(json("https://a.test/x".to_owned())),
            ["revocation_endpoint"]
        );
        assert_eq!(
            fields(json(format!("https://a.test/?x={{{name}}}"))),
            ["revocation_endpoint"]
        );
    }
    let json = json!({"revocation_endpoint": "https://a.test/{token}"});
    assert_eq!(fields(json), ["revocation_endpoint"]);
}

#[test]
fn api_hosts_are_host_names() {
    assert_eq!(found(json!({"api_hosts": ["www.acme.example"]})), [""; 0]);
    for host in [
        "",
        "https://a.test",
        "a.test:443",
        "a.test/",
        "A.test",
        "*.a.test",
    ] {
        assert_eq!(
            fields(json!({"api_hosts": [host]})),
            ["api_hosts[0]"],
            "{host:?}"
        );
    }
}

#[test]
fn id_token_issuers_may_hold_the_tenant_claim_only() {
    let json = json!({"id_token_issuers": ["accounts.example", "https://a.test/{tid}/v2.0"]});
    assert_eq!(found(json), [""; 0]);
    for issuer in [
        "",
        "https://a.test/{tenant}",
        "https://a.test/{tid",
        "https://a.test/ x",
    ] {
        assert_eq!(
            fields(json!({"id_token_issuers": [issuer]})),
            ["id_token_issuers[0]"]
        );
    }
}
