//! Signing in by popup and calling APIs by proxy, under the host that is watched.

use grantkeep_demo_provider::IdTokenFault;
use grantkeep_tests::api::KEY;
use grantkeep_tests::http::send;
use grantkeep_tests::visitor::popup_code;
use grantkeep_tests::{Consent, Reply};
use serde_json::{Value, json};

use super::Watched;
use crate::tap::Fault;

const SCOPE: &str = "openid email https://www.googleapis.com/auth/gmail.readonly";

async fn sign_in(watched: &Watched, origin: &str) -> Reply {
    let deployment = &watched.deployment;
    let code = popup_code(&deployment.provider, SCOPE, &Consent::default()).await;
    let request = deployment
        .request("POST", "/api/auth/google")
        .header("content-type", "application/json")
        .header("x-requested-with", "XmlHttpRequest")
        .header("origin", origin)
        .body(json!({"code": code, "scope": SCOPE}).to_string());
    send(request).await
}

async fn call(watched: &Watched, actor: &str, path: &str) -> Reply {
    let request = watched
        .deployment
        .request("GET", &format!("/api/proxy/gmail/{path}"))
        .header("x-grantkeep-actor", actor)
        .bearer_auth(KEY);
    send(request).await
}

/// A user who signs in, what the proxy does for them, and both when they fail.
pub async fn signed_in_and_proxied(watched: &mut Watched) {
    let origin = watched.deployment.origin.clone();
    let signed_in = sign_in(watched, &origin).await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.text);
    let body = signed_in.json();
    let actor = body["user"]["id"].as_str().expect("an actor").to_owned();
    watched.look().await;
    assert_eq!(sign_in(watched, "https://evil.test").await.status, 403);
    watched.tap.set(Some(Fault::ALL[0]));
    assert!(sign_in(watched, &origin).await.status >= 400);
    watched.tap.set(None);
    let turn = |fault| {
        watched
            .deployment
            .provider
            .update(|knobs| knobs.id_token_fault = fault)
    };
    turn(Some(IdTokenFault::BadSignature));
    assert_eq!(sign_in(watched, &origin).await.status, 502);
    turn(None);

    watched.deployment.provider.reset_counts();
    let path = "gmail/v1/users/me/messages?q=from:a%40b.c&maxResults=3";
    let listed = call(watched, &actor, path).await;
    assert_eq!(listed.status, 200, "{}", listed.text);
    let asked = watched.deployment.provider.requests();
    let asked = asked
        .iter()
        .find(|one| one.endpoint == "/gmail/v1/users/me/messages");
    let query = &asked.expect("a call of the API").query;
    let sent = [("q", "from:a@b.c"), ("maxResults", "3")];
    let sent = sent.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(*query, sent, "nothing that the host appended");

    for refused in ["..%2fsecret", "a//b", "@evil.test/"] {
        assert_eq!(
            call(watched, &actor, refused).await.status,
            400,
            "{refused}"
        );
    }
    assert_eq!(call(watched, "nobody", path).await.status, 404);
    watched.deployment.provider.expire_access_tokens();
    let again = call(watched, &actor, path).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(again.json()["error"], Value::Null);
    watched.look().await;
}
