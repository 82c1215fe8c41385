//! Everything that can happen with a secret at hand, good and bad.

use grantkeep_demo_provider::IdTokenFault;
use grantkeep_tests::api::{ACME_KEY, KEY, session};
use grantkeep_tests::database;
use grantkeep_tests::http::send;
use grantkeep_tests::{Consent, Visitor};
use serde_json::{Value, json};
use url::Url;

use super::Watched;
use crate::flow::whole_flow;
use crate::steps::connect;
use crate::tap::Fault;

const HTML: &str = "text/html";

pub async fn everything(watched: &mut Watched) {
    whole_flow(&watched.deployment, "user-1", "alice@example.test").await;
    whole_flow(&watched.deployment, "user-2", "bob@example.test").await;
    watched.look().await;
    super::popup::signed_in_and_proxied(watched).await;
    denied_and_forged(watched).await;
    refused_exchanges(watched).await;
    bad_identities(watched).await;
    failing_refreshes(watched).await;
    wrong_credentials(watched).await;
    unreadable_rows(watched).await;
}

/// The user says no; the state is altered, missing, used before, or of another browser.
async fn denied_and_forged(watched: &mut Watched) {
    let deployment = &watched.deployment;
    let denied = connect(deployment, "gmail", &Consent::deny()).await;
    assert_eq!(
        denied.location_parameter("error").as_deref(),
        Some("access_denied")
    );

    let (mut browser, callback) = consented(watched).await;
    let mut other = deployment.visitor();
    assert_eq!(other.get(&callback).await.code(), "invalid_state");
    for (name, value) in [("state", None), ("state", Some("altered")), ("code", None)] {
        let mut changed = Url::parse(&callback).expect("a URL");
        let kept: Vec<(String, String)> = changed.query_pairs().into_owned().collect();
        changed.query_pairs_mut().clear().extend_pairs(
            kept.iter()
                .filter(|(known, _)| known != name)
                .map(|(known, kept)| (known.as_str(), kept.as_str()))
                .chain(value.map(|value| (name, value))),
        );
        let answer = browser.get(changed.as_str()).await;
        assert!(matches!(answer.status, 303 | 400), "{}", answer.text);
    }
    let cookies = browser.cookies.clone();
    assert_eq!(browser.get(&callback).await.status, 303);
    browser.cookies = cookies;
    assert_eq!(browser.get(&callback).await.code(), "invalid_state");

    // As a form, and to a browser that is shown a page.
    let (mut browser, callback) = consented(watched).await;
    let form: Vec<(String, String)> = Url::parse(&callback)
        .expect("a URL")
        .query_pairs()
        .into_owned()
        .collect();
    let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let done = browser.post_form("/api/oauth/gmail/callback", &form).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let again = send(
        watched
            .deployment
            .request(
                "GET",
                callback
                    .strip_prefix(&watched.deployment.origin)
                    .expect("ours"),
            )
            .header("accept", HTML),
    )
    .await;
    assert_eq!(again.status, 400);
    assert!(again.text.contains("<html"), "{}", again.text);
    watched.look().await;
}

/// A browser that has consented, and the callback that it was sent to.
async fn consented(watched: &Watched) -> (Visitor<'_>, String) {
    let mut browser = watched.deployment.visitor();
    let session = session("default", "default");
    let begun = browser
        .get(&format!("/api/oauth/gmail/authorize?session={session}"))
        .await;
    let callback = browser
        .consent(begun.header("location"), &Consent::default())
        .await;
    (browser, callback)
}

/// The token endpoint refuses the code and says the request back.
async fn refused_exchanges(watched: &mut Watched) {
    for fault in Fault::ALL {
        watched.tap.set(Some(fault));
        let (mut browser, callback) = consented(watched).await;
        let done = browser.get(&callback).await;
        assert_eq!(
            done.location_parameter("connection").as_deref(),
            Some("error"),
            "{fault:?}: {}",
            done.text
        );
        let page = browser.get(done.header("location")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        watched.look().await;
    }
    watched.tap.set(None);
}

/// An id_token that must not be believed.
async fn bad_identities(watched: &mut Watched) {
    for fault in [
        IdTokenFault::BadSignature,
        IdTokenFault::WrongNonce,
        IdTokenFault::AlgNone,
    ] {
        let provider = &watched.deployment.provider;
        provider.update(|knobs| knobs.id_token_fault = Some(fault));
        let done = connect(&watched.deployment, "gmail", &Consent::default()).await;
        assert_eq!(
            done.location_parameter("connection").as_deref(),
            Some("error"),
            "{fault:?}: {}",
            done.text
        );
        watched.look().await;
    }
    let provider = &watched.deployment.provider;
    provider.update(|knobs| knobs.id_token_fault = None);
}

/// The token endpoint refuses the refresh token and says the request back.
async fn failing_refreshes(watched: &mut Watched) {
    let done = connect(&watched.deployment, "gmail", &Consent::default()).await;
    assert_eq!(
        done.location_parameter("connection").as_deref(),
        Some("connected")
    );
    for fault in Fault::ALL {
        watched.deployment.set_expiry("gmail", -1).await;
        watched.tap.set(Some(fault));
        let refused = watched.deployment.token("gmail").await;
        assert!(refused.status >= 400, "{fault:?}: {}", refused.text);
        watched.look().await;
    }
    watched.tap.set(None);
    assert_eq!(
        watched.deployment.token("gmail").await.code(),
        "reauthorization_required"
    );
    connect(&watched.deployment, "gmail", &Consent::default()).await;
    let path = "/api/token?provider=gmail&format=authorized_user";
    let exported = watched.deployment.call("GET", path, None).await;
    assert!(
        exported.json()["refresh_token"].is_string(),
        "{}",
        exported.text
    );
}

/// Keys and sessions that are wrong, in the wrong place, or torn.
async fn wrong_credentials(watched: &mut Watched) {
    let deployment = &watched.deployment;
    let session = session("default", "default");
    let access_token = deployment.token("gmail").await.json()["access_token"].clone();
    let bearers = [
        format!("Bearer {KEY}x"),
        format!("Bearer {ACME_KEY}"),
        format!("Basic {KEY}"),
        KEY.to_owned(),
        format!("Bearer {session}"),
        format!("Bearer {}", access_token.as_str().unwrap_or_default()),
    ];
    for bearer in &bearers {
        for path in [
            "/api/token?provider=gmail",
            "/api/health",
            "/api/connections?workspace=x",
        ] {
            let request = deployment
                .request("GET", path)
                .header("authorization", bearer);
            let answer = send(request).await;
            assert!(answer.status < 500, "{}", answer.text);
        }
    }
    for path in [
        format!("/api/token?provider=gmail&access_token={KEY}"),
        format!("/api/token?provider=gmail&service_key={KEY}"),
        format!("/api/token?provider=gmail&rejected={KEY}"),
        format!("/api/token?provider={session}"),
        format!("/api/connections/{session}"),
        format!("/api/oauth/{session}/authorize?session={session}"),
        format!("/api/oauth/gmail/authorize?session={session}x&return_to=https://evil.test"),
        format!("/api/oauth/gmail/authorize?session={session}&return_to=https://evil.test"),
        format!("/api/oauth/gmail/authorize?link={session}"),
        format!("/api/oauth/gmail/callback?error={session}&state={session}&code={session}"),
    ] {
        for accept in ["*/*", HTML] {
            let request = deployment
                .request("GET", &path)
                .header("accept", accept)
                .bearer_auth(KEY);
            let answer = send(request).await;
            assert!(answer.status >= 400, "{path}: {}", answer.text);
        }
    }
    for body in [
        format!("{{\"provider\":\"gmail\",\"rejected\":{access_token}"),
        json!({"provider": "gmail", "rejected": [access_token]}).to_string(),
        json!({"provider": access_token, "rejected": access_token}).to_string(),
        json!({"provider": "gmail", "mode": access_token}).to_string(),
        access_token.to_string(),
    ] {
        let request = deployment
            .request("POST", "/api/token")
            .bearer_auth(KEY)
            .header("content-type", "application/json")
            .body(body);
        let answer = send(request).await;
        assert!(answer.status >= 400, "{}", answer.text);
    }
    let changed = json!({"status": access_token});
    let path = format!(
        "/api/connections/{}",
        deployment.token("gmail").await.json()["connection_id"]
            .as_str()
            .unwrap_or_default()
    );
    let answer = deployment.call("PATCH", &path, Some(changed)).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    watched.look().await;
}

/// A row that does not open, and a database that refuses.
async fn unreadable_rows(watched: &mut Watched) {
    let url = watched.deployment.database_url.clone();
    database::execute(
        &url,
        "update oauth_tokens set actor_id = 'somebody-else' where actor_id = 'default'",
    )
    .await;
    let path = "/api/token?provider=gmail&actor=somebody-else";
    let moved = watched.deployment.call("GET", path, None).await;
    assert_eq!(
        moved.json()["reason"],
        Value::from("integrity_error"),
        "{}",
        moved.text
    );

    let (mut browser, callback) = consented(watched).await;
    let rename = "alter table oauth_tokens rename column";
    database::execute(&url, &format!("{rename} token_data to lost")).await;
    let refused = watched.deployment.token("gmail").await;
    assert!(refused.status >= 500, "{}", refused.text);
    let refused = browser.get(&callback).await;
    assert!(refused.status >= 500, "{}", refused.text);
    database::execute(&url, &format!("{rename} lost to token_data")).await;
}
