//! Connect, read, refresh, list, disconnect, under every host.

use std::collections::BTreeSet;

use grantkeep_functions::routes::FUNCTIONS;
use grantkeep_runtime::test_hosts::Kind;
use grantkeep_tests::api::session;
use grantkeep_tests::http::{client, send};
use grantkeep_tests::{Consent, Deployment};
use serde_json::{Value, json};

use crate::apis::signed_in_with_mail;

/// One user's way through every function. `actor` is nobody yet and nobody afterwards.
pub async fn whole_flow(deployment: &Deployment, actor: &str, account: &str) {
    let mut browser = deployment.visitor();
    let key_query = format!("provider=gmail&actor={actor}");

    // Signing in takes the session out of the address bar.
    let token = session("default", actor);
    let signed_in = browser.get(&format!("/connect?session={token}")).await;
    assert_eq!(signed_in.status, 303, "{}", signed_in.text);
    assert_eq!(signed_in.header("location"), "/connect");
    let page = browser.get("/connect").await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("Gmail"), "{}", page.text);

    // Consent, in a browser that keeps cookies and follows redirects.
    let begun = browser
        .get("/api/oauth/gmail/authorize?return_to=/connect")
        .await;
    assert_eq!(begun.status, 302, "{}", begun.text);
    let cookies = begun.cookies();
    assert!(
        cookies.len() == 1 && cookies[0].contains("; HttpOnly; SameSite=Lax"),
        "{cookies:?}"
    );
    assert_eq!(browser.cookies.len(), 2, "session and flow");
    let consent = Consent::of(account);
    let callback = browser.consent(begun.header("location"), &consent).await;
    let done = browser.get(&callback).await;
    assert_eq!(done.status, 303, "{}", done.text);
    assert!(
        done.header("location")
            .starts_with("/connect?connection=connected"),
        "{}",
        done.header("location")
    );
    assert_eq!(browser.cookies.len(), 1, "the flow's cookie is gone");
    let page = browser.get(done.header("location")).await;
    assert!(page.text.contains(account), "{}", page.text);

    // The token works at the provider, and is refreshed once for two callers at once.
    let path = format!("/api/token?{key_query}");
    let first = deployment.call("GET", &path, None).await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(first.json()["account"], account);
    assert_eq!(whoami(deployment, &first.json()).await, 200);
    deployment.set_expiry("gmail", -1).await;
    deployment.provider.reset_counts();
    let (a, b) = tokio::join!(
        deployment.call("GET", &path, None),
        deployment.call("GET", &path, None)
    );
    assert_eq!((a.status, b.status), (200, 200), "{} {}", a.text, b.text);
    assert_eq!(a.json()["access_token"], b.json()["access_token"]);
    assert_ne!(a.json()["access_token"], first.json()["access_token"]);
    assert_eq!(deployment.provider.refresh_requests(), 1);
    let rejected =
        json!({"provider": "gmail", "actor": actor, "rejected": first.json()["access_token"]});
    let answer = deployment.call("POST", "/api/token", Some(rejected)).await;
    assert_eq!(answer.json()["access_token"], a.json()["access_token"]);

    // Listed to its user and to the service, shown, and disconnected by its user.
    let listed = browser.get("/api/connections").await.json();
    assert_eq!(listed["connections"].as_array().map(Vec::len), Some(1));
    let id = listed["connections"][0]["id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let by_key = format!("/api/connections?actor={actor}");
    assert_eq!(deployment.call("GET", &by_key, None).await.json(), listed);
    let shown = browser.get(&format!("/api/connections/{id}")).await;
    assert_eq!(shown.json(), listed["connections"][0]);
    let gone = deployment
        .request("DELETE", &format!("/api/connections/{id}"))
        .header("cookie", browser.cookie_header())
        .header("origin", &deployment.origin);
    let gone = send(gone).await;
    assert_eq!(
        gone.json(),
        json!({"revoked": true, "reason": null, "deleted": true}),
        "{}",
        gone.text
    );
    let after = deployment.call("GET", &path, None).await;
    assert_eq!(
        (after.status, after.code().as_str()),
        (404, "not_connected")
    );
    assert_eq!(whoami(deployment, &a.json()).await, 401, "revoked");

    by_link(deployment, actor, account).await;
    signed_in_with_mail(deployment, account).await;

    let health = deployment.call("GET", "/api/health", None).await;
    assert_eq!(
        (health.status, &health.json()["status"]),
        (200, &json!("ok"))
    );
}

/// The way of a user whom the host application sends, up to its confirmation.
async fn by_link(deployment: &Deployment, actor: &str, account: &str) {
    let wanted =
        json!({"provider": "outlook", "actor": actor, "return_to": "https://app.test/done"});
    let link = deployment
        .call("POST", "/api/connect-links", Some(wanted))
        .await;
    assert_eq!(link.status, 200, "{}", link.text);
    let url = link.json()["url"].as_str().unwrap_or_default().to_owned();
    let done = deployment
        .visitor()
        .connect(&url, &Consent::of(account))
        .await;
    assert_eq!(
        done.location_parameter("connection").as_deref(),
        Some("pending"),
        "{}",
        done.text
    );
    let id = done.location_parameter("connection_id").unwrap_or_default();
    let path = format!("/api/connections/{id}");
    let confirmed = deployment
        .call("PATCH", &path, Some(json!({"status": "active"})))
        .await;
    assert_eq!(confirmed.json()["status"], "active", "{}", confirmed.text);
    let gone = deployment.call("DELETE", &path, None).await;
    assert_eq!(gone.json()["deleted"], true, "{}", gone.text);
}

async fn whoami(deployment: &Deployment, token: &Value) -> u16 {
    let url = format!("{}/api/whoami", deployment.provider.origin());
    let token = token["access_token"].as_str().unwrap_or_default();
    send(client().get(url).bearer_auth(token)).await.status
}

/// Two users, so that both instances of every function have work.
async fn two_users_under(kind: Kind) {
    let deployment = Deployment::builder(kind).start().await;

    whole_flow(&deployment, "user-1", "alice@example.test").await;
    whole_flow(&deployment, "user-2", "bob@example.test").await;

    let used: BTreeSet<(&str, usize)> = deployment
        .exchanges()
        .iter()
        .map(|exchange| (exchange.function, exchange.instance))
        .collect();
    assert_eq!(used.len(), 2 * FUNCTIONS.len(), "{used:?}");
    for ended in deployment.stop().await {
        assert_eq!(ended.stopped.stderr, "", "{}", ended.function);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_go_the_whole_way_on_vercel() {
    two_users_under(Kind::Vercel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_go_the_whole_way_on_lambda() {
    two_users_under(Kind::Lambda).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_go_the_whole_way_on_a_plain_port() {
    two_users_under(Kind::Port).await;
}
