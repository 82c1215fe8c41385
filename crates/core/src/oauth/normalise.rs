//! Turns what token endpoints really answer into what RFC 6749 section 5 says, so
//! that one parser reads them all.

use chrono::{DateTime, Utc};
use grantkeep_providers::Definition;
use serde_json::{Map, Value};

use crate::scope::ScopeSet;

/// Ten years, in seconds: longer lives are not believed.
const MAX_EXPIRES_IN: f64 = 315_360_000.0;

/// A token endpoint's answer in one shape.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Normalised {
    /// A token set, as RFC 6749 section 5.1 has it.
    Tokens(Map<String, Value>),
    /// An `error` value, cut to what a code may be; section 5.2.
    Error(String),
    /// Neither.
    Unusable,
}

/// Reads a body: JSON first, else a form. Success is an access token and no error,
/// whatever the HTTP status said: several providers answer errors with 200.
pub(super) fn normalise(body: &[u8], definition: &Definition, now: DateTime<Utc>) -> Normalised {
    let Some(answer) = parse(body) else {
        return Normalised::Unusable;
    };
    if let Some(error) = error_of(&answer, definition) {
        return Normalised::Error(error);
    }
    let tokens = match &definition.token_response_path {
        Some(path) => match answer.get(path).and_then(Value::as_object) {
            Some(nested) => nested,
            None => return Normalised::Unusable,
        },
        None => &answer,
    };
    let Some(access_token) = text(tokens, "access_token") else {
        return Normalised::Unusable;
    };
    if !is_bearer(text(tokens, "token_type"), definition) {
        return Normalised::Unusable;
    }

    let mut shaped = Map::new();
    shaped.insert("access_token".to_owned(), access_token.into());
    shaped.insert("token_type".to_owned(), "bearer".into());
    for member in ["refresh_token", "id_token"] {
        if let Some(value) = text(tokens, member).or_else(|| text(&answer, member)) {
            shaped.insert(member.to_owned(), value.into());
        }
    }
    if let Some(seconds) = tokens.get("expires_in").and_then(seconds) {
        shaped.insert("expires_in".to_owned(), seconds.into());
    }
    if let Some(scope) = scope_of(tokens) {
        shaped.insert("scope".to_owned(), scope.join(" ").into());
    }
    if let Some(seconds) = refresh_expiry(tokens) {
        shaped.insert("refresh_token_expires_in".to_owned(), seconds.into());
    }
    let kept = metadata(&answer, definition);
    if !kept.is_empty() {
        shaped.insert("metadata".to_owned(), kept.into());
    }
    // Some say when it ends instead of how long it lasts.
    if !shaped.contains_key("expires_in")
        && let Some(at) = tokens.get("expires_at").and_then(Value::as_f64)
    {
        let left = (at - now.timestamp() as f64).clamp(0.0, MAX_EXPIRES_IN);
        shaped.insert("expires_in".to_owned(), (left as u64).into());
    }
    Normalised::Tokens(shaped)
}

fn parse(body: &[u8]) -> Option<Map<String, Value>> {
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        return value.as_object().cloned();
    }
    let text = std::str::from_utf8(body).ok()?;
    let looks_like_a_form = text.contains('=') && !text.contains(['<', '\n', ' ']);
    looks_like_a_form.then(|| {
        url::form_urlencoded::parse(text.as_bytes())
            .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
            .collect()
    })
}

fn error_of(answer: &Map<String, Value>, definition: &Definition) -> Option<String> {
    let known_dead = ["error", "status", "code"].into_iter().find_map(|member| {
        let value = answer.get(member)?.as_str()?;
        definition
            .dead_grant_errors
            .iter()
            .any(|dead| dead == value)
            .then_some(value)
    });
    let error = known_dead
        .or_else(|| answer.get("error").and_then(Value::as_str))
        .or_else(|| {
            answer
                .get("error")
                .filter(|error| !error.is_null())
                .map(|_| "unknown_error")
        })
        .or_else(|| (answer.get("ok") == Some(&Value::Bool(false))).then_some("unknown_error"))?;
    Some(code(error))
}

/// RFC 6749 section 5.2 error codes are words in one case, joined by `_`; anything else,
/// which could be an echoed token, is not repeated.
pub(crate) fn code(error: &str) -> String {
    let one_case = |is_letter: fn(&u8) -> bool| {
        let plain = |byte: &u8| is_letter(byte) || byte.is_ascii_digit() || *byte == b'_';
        error.as_bytes().iter().all(plain)
    };
    let plain = one_case(u8::is_ascii_lowercase) || one_case(u8::is_ascii_uppercase);
    match plain && !error.is_empty() && error.len() <= 48 {
        true => error.to_owned(),
        false => "unknown_error".to_owned(),
    }
}

fn text(object: &Map<String, Value>, member: &str) -> Option<String> {
    object
        .get(member)?
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn is_bearer(token_type: Option<String>, definition: &Definition) -> bool {
    token_type.is_none_or(|token_type| {
        token_type.eq_ignore_ascii_case("bearer")
            || definition
                .bearer_token_types
                .iter()
                .any(|t| t.eq_ignore_ascii_case(&token_type))
    })
}

fn seconds(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        _ => return None,
    };
    number
        .is_finite()
        .then(|| number.clamp(0.0, MAX_EXPIRES_IN) as u64)
}

fn scope_of(tokens: &Map<String, Value>) -> Option<ScopeSet> {
    match tokens.get("scope").or_else(|| tokens.get("scopes"))? {
        Value::String(text) => Some(ScopeSet::parse(text)),
        Value::Array(items) => Some(items.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

/// The earliest of the ways in which providers tell when a refresh token ends.
fn refresh_expiry(tokens: &Map<String, Value>) -> Option<u64> {
    [
        "refresh_token_expires_in",
        "refresh_expires_in",
        "x_refresh_token_expires_in",
        "x_refresh_token_hard_expires_in",
    ]
    .into_iter()
    .filter_map(|member| tokens.get(member).and_then(seconds))
    .filter(|seconds| *seconds > 0)
    .min()
}

fn metadata(answer: &Map<String, Value>, definition: &Definition) -> Map<String, Value> {
    definition
        .metadata
        .iter()
        .filter_map(|member| Some((member.clone(), answer.get(member)?.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn definition(extra: Value) -> Definition {
        let mut value = json!({"display_name": "Test"});
        value
            .as_object_mut()
            .expect("object")
            .extend(extra.as_object().expect("object").clone());
        serde_json::from_value(value).expect("definition")
    }

    fn read(body: &str) -> Normalised {
        read_as(body, json!({}))
    }

    fn read_as(body: &str, extra: Value) -> Normalised {
        normalise(body.as_bytes(), &definition(extra), DateTime::UNIX_EPOCH)
    }

    fn tokens(read: Normalised) -> Map<String, Value> {
        match read {
            Normalised::Tokens(tokens) => tokens,
            other => panic!("expected tokens, got {other:?}"),
        }
    }

    #[test]
    fn ex08_every_way_of_writing_expires_in_is_read() {
        let cases = [
            (json!("3599"), Some(3599)),
            (json!(3599.0), Some(3599)),
            (json!("3599.5"), Some(3599)),
            (json!(-1), Some(0)),
            (json!(0), Some(0)),
            (json!(1e30), Some(315_360_000)),
            (json!("soon"), None),
            (Value::Null, None),
        ];
        for (written, expected) in cases {
            let body = json!({"access_token": "a", "expires_in": written}).to_string();
            let read = tokens(read(&body))
                .get("expires_in")
                .and_then(Value::as_u64);
            assert_eq!(read, expected, "{written}");
        }
    }

    #[test]
    fn ex05_a_form_answer_is_read_like_json() {
        let read = tokens(read(
            "access_token=a&scope=repo%2Cgist&token_type=bearer&expires_in=60",
        ));

        assert_eq!(read["scope"], "repo gist");
        assert_eq!(read["expires_in"], 60);
    }

    #[test]
    fn ex05_an_error_with_status_200_is_an_error() {
        assert_eq!(
            read(r#"{"error":"bad_refresh_token"}"#),
            Normalised::Error("bad_refresh_token".to_owned())
        );
        assert_eq!(
            read(r#"{"ok":false,"error":"token_revoked","access_token":"a"}"#),
            Normalised::Error("token_revoked".to_owned())
        );
        assert_eq!(
            read_as(
                r#"{"status":"BAD_TOKEN"}"#,
                json!({"dead_grant_errors": ["BAD_TOKEN"]})
            ),
            Normalised::Error("BAD_TOKEN".to_owned())
        );
    }

    #[test]
    fn ex05_tokens_are_found_where_the_definition_says() {
        let body =
            r#"{"ok":true,"team":{"id":"T1"},"authed_user":{"access_token":"a","scope":"x,y"}}"#;
        let extra = json!({"token_response_path": "authed_user", "metadata": ["team"]});
        let read = tokens(read_as(body, extra));

        assert_eq!(read["access_token"], "a");
        assert_eq!(read["metadata"]["team"]["id"], "T1");
    }

    #[test]
    fn ex05_scopes_come_as_string_or_list_under_either_name() {
        for body in [
            r#"{"access_token":"a","scope":"x y"}"#,
            r#"{"access_token":"a","scope":"x,y"}"#,
            r#"{"access_token":"a","scope":["x","y"]}"#,
            r#"{"access_token":"a","scopes":["x","y"]}"#,
        ] {
            assert_eq!(tokens(read(body))["scope"], "x y", "{body}");
        }
        assert!(!tokens(read(r#"{"access_token":"a"}"#)).contains_key("scope"));
    }

    #[test]
    fn ex04_answers_without_a_bearer_token_are_unusable() {
        for body in [
            "",
            "<html></html>",
            "[]",
            "null",
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":"a","token_type":"mac"}"#,
            "<html a=b></html>",
        ] {
            assert_eq!(read(body), Normalised::Unusable, "{body}");
        }
        let extra = json!({"bearer_token_types": ["bot"]});
        tokens(read_as(r#"{"access_token":"a","token_type":"bot"}"#, extra));
    }

    #[test]
    fn an_empty_refresh_token_is_none() {
        assert!(
            !tokens(read(r#"{"access_token":"a","refresh_token":""}"#))
                .contains_key("refresh_token")
        );
        assert!(
            !tokens(read(r#"{"access_token":"a","refresh_token":null}"#))
                .contains_key("refresh_token")
        );
    }

    #[test]
    fn the_earliest_end_of_a_refresh_token_counts() {
        let body = r#"{"access_token":"a","x_refresh_token_expires_in":"100","x_refresh_token_hard_expires_in":50}"#;

        assert_eq!(tokens(read(body))["refresh_token_expires_in"], 50);
    }

    #[test]
    fn lk02_an_error_that_could_hold_more_than_a_code_is_not_repeated() {
        assert_eq!(code("invalid_grant"), "invalid_grant");
        assert_eq!(code("BAD_REFRESH_TOKEN"), "BAD_REFRESH_TOKEN");
        for text in [
            "token ya29.secret is invalid",
            "gho_16C7e42F292c",
            "ya29.a0",
            "1//0x",
            "",
        ] {
            assert_eq!(code(text), "unknown_error", "{text}");
        }
        assert_eq!(code(&"a".repeat(49)), "unknown_error");
    }
}
