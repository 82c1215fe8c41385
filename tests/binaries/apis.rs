//! Signing in, calling an API, mail and the scheduled jobs, under every host.

use grantkeep_tests::api::{CRON_SECRET, KEY};
use grantkeep_tests::http::send;
use grantkeep_tests::visitor::popup_code;
use grantkeep_tests::{Consent, Deployment, Reply};
use serde_json::json;

const SCOPE: &str = "openid email https://www.googleapis.com/auth/gmail.readonly \
                     https://www.googleapis.com/auth/gmail.send";

/// A user who signs in by popup, writes to themselves, and has that found by the worker.
pub async fn signed_in_with_mail(deployment: &Deployment, account: &str) {
    let actor = sign_in(deployment, account).await;

    let profile = deployment
        .request("GET", "/api/proxy/gmail/gmail/v1/users/me/profile")
        .header("x-grantkeep-actor", &actor)
        .bearer_auth(KEY);
    let profile = send(profile).await;
    assert_eq!(profile.json()["emailAddress"], account, "{}", profile.text);

    let subject = format!("Hello {actor}");
    let mail = json!({"provider": "gmail", "actor": actor, "to": [account], "subject": subject, "text": "From myself."});
    let sent = deployment.call("POST", "/api/gmail/send", Some(mail)).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    let watch = json!({"provider": "gmail", "actor": actor, "sender": account});
    let watched = deployment
        .call("POST", "/api/gmail/watches", Some(watch))
        .await;
    assert_eq!(watched.status, 201, "{}", watched.text);
    let polled = job(deployment, "poll").await;
    assert_eq!(polled.status, 200, "{}", polled.text);
    let path = format!("/api/gmail/messages?actor={actor}");
    let messages = deployment.call("GET", &path, None).await;
    assert_eq!(
        messages.json()["messages"][0]["subject"],
        subject,
        "{} {}",
        polled.text,
        messages.text
    );

    let refreshed = job(deployment, "refresh").await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
}

/// The actor that signing in makes of the account.
async fn sign_in(deployment: &Deployment, account: &str) -> String {
    let code = popup_code(&deployment.provider, SCOPE, &Consent::of(account)).await;
    let request = deployment
        .request("POST", "/api/auth/google")
        .header("content-type", "application/json")
        .header("x-requested-with", "XmlHttpRequest")
        .header("origin", &deployment.origin)
        .body(json!({"code": code, "scope": SCOPE}).to_string());
    let signed_in = send(request).await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.text);
    let actor = signed_in.json()["user"]["id"].as_str().map(str::to_owned);
    actor.expect("the id of a user")
}

async fn job(deployment: &Deployment, name: &str) -> Reply {
    let path = format!("/api/cron/{name}");
    send(deployment.request("GET", &path).bearer_auth(CRON_SECRET)).await
}
