//! Steps that several files of these tests take.

use grantkeep_tests::api::session;
use grantkeep_tests::http::send;
use grantkeep_tests::{Consent, Reply, TestApi, Visitor};
use serde_json::Value;
use url::Url;

pub const READONLY: &str = "https://www.googleapis.com/auth/gmail.readonly";
pub const SEND: &str = "https://www.googleapis.com/auth/gmail.send";
pub const MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";

/// Where the default actor begins; more parameters can be appended with `&`.
pub fn authorize(provider: &str) -> String {
    authorize_as(provider, "default", "default")
}

/// Where an actor begins.
pub fn authorize_as(provider: &str, workspace: &str, actor: &str) -> String {
    let session = session(workspace, actor);
    format!("/api/oauth/{provider}/authorize?session={session}")
}

/// An authorization that was begun and consented to, its callback not yet called.
pub struct Flow<'a> {
    pub browser: Visitor<'a>,
    /// The authorization URL that the browser was sent to.
    pub location: String,
    /// Where the provider sends the browser back to.
    pub callback: String,
}

/// Begins at `path` in a browser of its own and consents.
pub async fn consented<'a>(api: &'a TestApi, path: &str) -> Flow<'a> {
    consented_with(api, path, &Consent::default()).await
}

/// The same with a choice.
pub async fn consented_with<'a>(api: &'a TestApi, path: &str, consent: &Consent) -> Flow<'a> {
    let mut browser = api.visitor();
    let begun = browser.get(path).await;
    assert_eq!(begun.status, 302, "authorize: {}", begun.text);
    let location = begun.header("location").to_owned();
    let callback = browser.consent(&location, consent).await;
    Flow {
        browser,
        location,
        callback,
    }
}

impl Flow<'_> {
    /// Calls the callback with this browser's cookies.
    pub async fn finish(&mut self) -> Reply {
        let callback = self.callback.clone();
        self.browser.get(&callback).await
    }

    /// The callback's address with one parameter changed, added, or (`None`) taken away.
    pub fn callback_with(&self, name: &str, value: Option<&str>) -> String {
        with_parameter(&self.callback, name, value)
    }
}

/// An address with one parameter changed, added, or (`None`) taken away.
pub fn with_parameter(address: &str, name: &str, value: Option<&str>) -> String {
    let mut url = Url::parse(address).expect("an address");
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .into_owned()
        .filter(|(known, _)| known != name)
        .chain(value.map(|value| (name.to_owned(), value.to_owned())))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    url.into()
}

/// A parameter of an address.
pub fn parameter(address: &str, name: &str) -> Option<String> {
    let url = Url::parse(address).expect("an address");
    url.query_pairs()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

/// A GET with these cookies and nothing else.
pub async fn get_with_cookies(api: &TestApi, address: &str, cookies: &str) -> Reply {
    let request = api
        .request("GET", api.local(address))
        .header("cookie", cookies);
    send(request).await
}

/// A request with these headers and nothing else.
pub async fn with_headers(
    api: &TestApi,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Reply {
    let request = headers
        .iter()
        .fold(api.request(method, path), |request, (name, value)| {
            request.header(*name, *value)
        });
    send(request).await
}

/// Status and code of a problem, for comparing at once.
pub fn problem(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

/// What a callback brings the browser back with: `connection` and `error`.
pub fn outcome(reply: &Reply) -> (Option<String>, Option<String>) {
    assert_eq!(reply.status, 303, "{}", reply.text);
    (
        reply.location_parameter("connection"),
        reply.location_parameter("error"),
    )
}

/// [`outcome`] of a connection that was made.
pub fn connected() -> (Option<String>, Option<String>) {
    (Some("connected".to_owned()), None)
}

/// [`outcome`] of a failure.
pub fn failed(code: &str) -> (Option<String>, Option<String>) {
    (Some("error".to_owned()), Some(code.to_owned()))
}

/// The id of the default actor's only connection.
pub async fn connection_id(api: &TestApi, provider: &str) -> String {
    text(&api.token(provider).await.json()["connection_id"])
}

/// A JSON string's text.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// How many rows a query counts.
pub async fn count(api: &TestApi, from: &str) -> String {
    let sql = format!("select count(*)::text from {from}");
    api.text(&sql).await.expect("a count")
}
