use super::*;
use serde_json::json;

const KEY: &str = "b3h1bWJyZWxsYS1jb3JhbC1zZXZlbi1maXNoLTQyISE";

fn keys() -> KeyRing {
    KeyRing::parse(KEY).expect("key")
}

fn imported(json: Value) -> Imported {
    read(json.to_string().as_bytes(), &keys()).unwrap_or_else(|refused| panic!("{refused}"))
}

fn refused(bytes: &[u8]) -> Refused {
    read(bytes, &keys()).expect_err("refused")
}

#[test]
fn a_member_that_is_there_twice_is_refused_at_any_depth() {
    for text in [
        r#"{"refresh_token":"a","refresh_token":"b"}"#,
        r#"{"token_data":{"access_token":"a","access_token":"b"}}"#,
        r#"{"refresh_token":"a","refresh_toke\u006e":"b"}"#,
        r#"{"x":[{"a":1,"a":1}]}"#,
    ] {
        assert!(refused(text.as_bytes()).message.contains("twice"), "{text}");
    }
}

#[test]
fn more_than_64_kib_is_refused_before_it_is_parsed() {
    let large = format!(r#"{{"refresh_token":"{}"}}"#, "a".repeat(MAX_BYTES));

    assert!(refused(large.as_bytes()).message.contains("64 KiB"));
}

#[test]
fn nesting_without_end_is_refused() {
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));

    assert!(refused(deep.as_bytes()).message.contains("not JSON"));
}

#[test]
fn formats_that_cannot_be_read_name_the_way_out() {
    for (bytes, way_out) in [
        (b"\x80\x04\x95\x10".as_slice(), "to_json()"),
        (b"\xac\xed\x00\x05sr".as_slice(), "getRefreshToken()"),
        (b"\xff\xfe{\x00".as_slice(), "UTF-8"),
        (b"---\ndefault: x".as_slice(), "YAML"),
        (b"".as_slice(), "empty"),
        (b"[]".as_slice(), "one object"),
        (b"7".as_slice(), "JSON object"),
        (b"{".as_slice(), "line 1"),
        (
            br#"{"type":"service_account","private_key":"x"}"#,
            "connect as a user",
        ),
        (br#"{"type":"external_account"}"#, "connect as a user"),
        (br#"{"installed":{"client_id":"c"}}"#, "GOOGLE_CLIENT_ID"),
        (
            br#"{"universe_domain":"other.example","refresh_token":"r","client_id":"c"}"#,
            "universe",
        ),
        (
            br#"{"accountId":"1","providerId":"google","refreshToken":"$ba$00"}"#,
            "better-auth",
        ),
        (
            br#"{"_module":"oauth2client.client","invalid":true}"#,
            "connect again",
        ),
        (br#"{"a":1}"#, "neither"),
    ] {
        let refused = refused(bytes);
        assert!(
            refused.to_string().contains(way_out),
            "{way_out}: {refused}"
        );
    }
}

#[test]
fn a_value_is_never_repeated_in_a_refusal() {
    for text in [
        r#"{"refresh_token":"canary\nwith a line","client_id":"x"}"#,
        r#"{"refresh_token":"r","client_id":"x","expiry":"canary"}"#,
        r#"{"refresh_token":"r","access_token":"a","expires_at":"canary"}"#,
        r#"{"refresh_token":["canary"],"client_id":"x"}"#,
        r#"{"refresh_token":"r","access_token":"a","scope":{"canary":1}}"#,
        r#"{"refresh_token_encrypted":"gAAAAcanary"}"#,
        r#"{"refresh_token":"canary"#,
    ] {
        let shown = refused(text.as_bytes()).to_string();
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn a_wrong_member_is_named() {
    for (text, field) in [
        (r#"{"refresh_token":1,"client_id":"x"}"#, "refresh_token"),
        (
            r#"{"refresh_token":"a b","client_id":"x"}"#,
            "refresh_token",
        ),
        (
            r#"{"refresh_token":"r","client_id":"x","expiry":"x"}"#,
            "expiry",
        ),
        (
            r#"{"refresh_token":"r","client_id":"x","scopes":[1]}"#,
            "scopes",
        ),
        (
            r#"{"type":"authorized_user","refresh_token":"r"}"#,
            "client_id",
        ),
        (
            r#"{"IssuedUtc":"x","access_token":"a","expires_in":1}"#,
            "IssuedUtc",
        ),
        (r#"{"access_token":"a","expires_in":"x"}"#, "expires_in"),
        (
            r#"{"token_data":{"access_token":7}}"#,
            "token_data.access_token",
        ),
        (r#"{"token_data":{"token_data":{}}}"#, "token_data"),
    ] {
        assert_eq!(refused(text.as_bytes()).field, field, "{text}");
    }
}

#[test]
fn sc03_what_google_auth_calls_scopes_was_only_asked_for() {
    let file = json!({"token": "a", "refresh_token": "r", "client_id": "c", "scopes": ["x", "y"]});

    assert_eq!(
        imported(file).scopes,
        Scopes::Requested(ScopeSet::parse("x y"))
    );
}

#[test]
fn scopes_may_be_a_list_or_a_string() {
    for scopes in [
        json!(["x", "y"]),
        json!("x y"),
        json!("x,y"),
        json!("{x,y}"),
    ] {
        let file = json!({"access_token": "a", "refresh_token": "r", "scope": scopes});

        assert_eq!(
            imported(file).scopes,
            Scopes::Granted(ScopeSet::parse("x y"))
        );
    }
}

#[test]
fn the_row_of_an_older_table_says_whose_it_is_and_when_it_ends() {
    let row = json!({
        "id": 7, "provider": "gmail", "account": "marcus",
        "token_data": {"access_token": "a", "refresh_token": "r", "expires_at": 1},
        "expires_at": "2026-01-02T03:04:05+00:00", "created_at": "2025-01-01T00:00:00",
    });

    let read = imported(row);

    assert_eq!(read.format, Format::Row);
    assert_eq!(
        (
            read.whose.provider.as_deref(),
            read.whose.account.as_deref()
        ),
        (Some("gmail"), Some("marcus"))
    );
    assert_eq!(
        read.expires_at.map(|at| at.timestamp()),
        Some(1_767_323_045)
    );
}

#[test]
fn a_blob_may_be_json_in_a_string() {
    let inner = json!({"token": "a", "refresh_token": "r", "client_id": "c"}).to_string();
    for row in [
        json!({"provider": "gmail", "token_json": inner}),
        json!({"provider": "gmail", "credentials": json!(inner).to_string().trim_matches('"').replace("\\\"", "\"")}),
    ] {
        assert_eq!(imported(row).client_id.as_deref(), Some("c"));
    }
}

#[test]
fn a_users_row_has_the_user_as_its_actor_and_the_address_as_its_account() {
    let read = imported(json!({
        "id": 3, "user_id": 42, "refresh_token": "r", "token_scope": "x", "email": "u@x.example",
        "granted_at": "2025-05-01T00:00:00+00:00", "expires_at": null, "last_refreshed": null,
    }));

    assert_eq!(
        (read.whose.actor.as_deref(), read.whose.account.as_deref()),
        (Some("42"), Some("u@x.example"))
    );
    assert!(read.access_token.is_none() && read.whose.created_at.is_some());
}

#[test]
fn debug_shows_no_token() {
    let shown = format!(
        "{:?}",
        imported(json!({"access_token": "canary-a", "refresh_token": "canary-r"}))
    );

    assert!(!shown.contains("canary"), "{shown}");
}
