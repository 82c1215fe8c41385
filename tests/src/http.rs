//! A plain HTTP client that follows no redirect and keeps no cookie.

use std::sync::OnceLock;

use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// As received.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Reply {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A header as text; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Every `Set-Cookie`.
    pub fn cookies(&self) -> Vec<&str> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect()
    }

    /// `code` of a problem; empty when it is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A query parameter of `Location`.
    pub fn location_parameter(&self, name: &str) -> Option<String> {
        let base = url::Url::parse("http://base.invalid/").expect("base");
        let location = base.join(self.header("location")).expect("location");
        location
            .query_pairs()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// The client of all tests.
pub fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        drop(provider.install_default());
        let none = reqwest::redirect::Policy::none();
        reqwest::Client::builder()
            .redirect(none)
            .no_proxy()
            .build()
            .expect("client")
    })
}

/// Sends a request and reads its answer.
pub async fn send(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap_or_default();
    Reply {
        status,
        headers,
        text,
    }
}
