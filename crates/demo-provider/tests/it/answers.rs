//! The shapes in which token answers and errors are written.

use grantkeep_demo_provider::{ExpiresIn, Knobs, ResponseFormat, ScopeEcho};
use serde_json::{Value, json};

use crate::harness::{Answer, Demo, READ, SEND};

const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";

async fn refreshed(turn: impl FnOnce(&mut Knobs)) -> Answer {
    let demo = Demo::with(turn).await;
    demo.refresh(&demo.issued().refresh_token).await
}

#[tokio::test]
async fn expires_in_takes_every_form() {
    let forms = [
        (ExpiresIn::Number, json!(3599)),
        (ExpiresIn::String, json!("3599")),
        (ExpiresIn::Float, json!(3599.5)),
        (ExpiresIn::Absent, Value::Null),
        (ExpiresIn::Negative, json!(-1)),
        (ExpiresIn::Zero, json!(0)),
        (ExpiresIn::Huge, json!(1_000_000_000_000_000_000_u64)),
    ];
    for (form, expected) in forms {
        let body = refreshed(|knobs| knobs.expires_in = form).await.json();
        assert_eq!(body["expires_in"], expected, "{form:?}");
    }
}

#[tokio::test]
async fn scopes_are_echoed_in_every_form() {
    let list = ["openid", EMAIL, READ, SEND];
    let forms = [
        (ScopeEcho::String, "scope", json!(list.join(" "))),
        (ScopeEcho::Comma, "scope", json!(list.join(","))),
        (ScopeEcho::Array, "scope", json!(list)),
        (ScopeEcho::ArrayInScopes, "scopes", json!(list)),
        (ScopeEcho::Empty, "scope", json!("")),
    ];
    for (form, name, expected) in forms {
        let body = refreshed(|knobs| knobs.scope_echo = form).await.json();
        let echoed: Vec<_> = ["scope", "scopes"]
            .iter()
            .filter(|n| body.get(n).is_some())
            .collect();
        assert_eq!((echoed, &body[name]), (vec![&name], &expected), "{form:?}");
    }
    let body = refreshed(|knobs| knobs.scope_echo = ScopeEcho::Absent)
        .await
        .json();
    assert!(body.get("scope").is_none() && body.get("scopes").is_none());
}

#[tokio::test]
async fn form_answers_carry_the_same_members() {
    let demo = Demo::with(|knobs| knobs.response_format = ResponseFormat::Form).await;

    let answer = demo.exchanged().await;

    assert_eq!(
        answer.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    let pairs: std::collections::HashMap<_, _> =
        url::form_urlencoded::parse(answer.text.as_bytes())
            .into_owned()
            .collect();
    assert_eq!(pairs["expires_in"], "3599");
    assert_eq!(pairs["scope"], ["openid", EMAIL, READ, SEND].join(" "));
    assert!(pairs.contains_key("access_token") && pairs.contains_key("refresh_token"));
    let refused = demo.refresh("1//0unknown").await;
    assert_eq!(
        (refused.status, refused.text.contains("error=invalid_grant")),
        (400, true)
    );
}

#[tokio::test]
async fn errors_can_have_status_200() {
    let demo = Demo::with(|knobs| knobs.error_with_status_200 = true).await;

    let answer = demo.refresh("1//0unknown").await;

    assert_eq!(answer.refusal(), (200, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn ok_false_is_an_error_and_ok_true_a_success() {
    let demo = Demo::with(|knobs| knobs.ok_false_errors = true).await;

    let refused = demo.refresh("1//0unknown").await;
    let answered = demo.refresh(&demo.issued().refresh_token).await;

    assert_eq!(
        (refused.status, refused.json()),
        (200, json!({"ok": false, "error": "invalid_grant"}))
    );
    assert_eq!(answered.json()["ok"], true);
}

#[tokio::test]
async fn the_token_set_can_be_nested() {
    let body = refreshed(|knobs| {
        knobs.nest_under = Some("authed_user".to_owned());
        knobs
            .extra_members
            .insert("team".to_owned(), json!({"id": "T1"}));
    })
    .await
    .json();

    assert!(body["authed_user"]["access_token"].is_string());
    assert!(body.get("access_token").is_none());
    assert_eq!(body["team"]["id"], "T1");
}

#[tokio::test]
async fn extra_members_win_over_the_usual_ones() {
    let body = refreshed(|knobs| {
        knobs
            .extra_members
            .insert("refresh_token".to_owned(), Value::Null);
        knobs
            .extra_members
            .insert("scope".to_owned(), json!("other"));
    })
    .await
    .json();

    assert_eq!(body.get("refresh_token"), Some(&Value::Null));
    assert_eq!(body["scope"], "other");
}

#[tokio::test]
async fn token_type_and_access_token_can_be_unusual() {
    let body = refreshed(|knobs| knobs.token_type = "bot".to_owned())
        .await
        .json();
    assert_eq!(body["token_type"], "bot");

    let answer = refreshed(|knobs| knobs.omit_access_token = true).await;
    assert_eq!(answer.status, 200);
    assert!(answer.json().get("access_token").is_none());
}

#[tokio::test]
async fn the_life_of_the_refresh_token_can_be_told() {
    let demo = Demo::with(|knobs| knobs.refresh_token_expires_in = Some(604_799)).await;

    assert_eq!(
        demo.exchanged().await.json()["refresh_token_expires_in"],
        604_799
    );
}
