//! A started provider, and a client and a user that talk to it.

use std::collections::HashMap;
use std::sync::Once;

use grantkeep_demo_provider::client::{DEMO_CLIENT_ID, DEMO_CLIENT_SECRET};
use grantkeep_demo_provider::{DemoProvider, IssuedTokens, Knobs};
use reqwest::{Client, RequestBuilder, redirect};
use serde_json::Value;
use url::Url;

pub const READ: &str = "https://www.googleapis.com/auth/gmail.readonly";
pub const SEND: &str = "https://www.googleapis.com/auth/gmail.send";
pub const CALENDAR: &str = "https://www.googleapis.com/auth/calendar.readonly";
pub const CALLBACK: &str = "http://127.0.0.1:3000/api/oauth/gmail/callback";
/// RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub type Pairs = Vec<(&'static str, String)>;

/// What came back, read to the end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub text: String,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let headers = response.headers().iter();
        Answer {
            status: response.status().as_u16(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            text: response.text().await.expect("a body"),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    /// The redirect's target, without its query, and the query.
    pub fn redirect(&self) -> (String, HashMap<String, String>) {
        let mut target = Url::parse(&self.headers["location"]).expect("an absolute location");
        let query = target.query_pairs().into_owned().collect();
        target.set_query(None);
        (target.to_string(), query)
    }

    /// `error` of an OAuth error, with the status.
    pub fn refusal(&self) -> (u16, String) {
        (
            self.status,
            self.json()["error"].as_str().expect("an error").to_owned(),
        )
    }
}

pub struct Demo {
    pub provider: DemoProvider,
    pub http: Client,
}

impl Demo {
    pub async fn start() -> Demo {
        static TLS: Once = Once::new();
        // The client is built for TLS as well and wants a provider, though all of this is plain HTTP.
        TLS.call_once(|| {
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            provider
                .install_default()
                .expect("nobody installed one before");
        });
        Demo {
            provider: DemoProvider::start().await.expect("a free port"),
            http: Client::builder()
                .redirect(redirect::Policy::none())
                .build()
                .expect("a client"),
        }
    }

    pub async fn with(turn: impl FnOnce(&mut Knobs)) -> Demo {
        let demo = Demo::start().await;
        demo.provider.update(turn);
        demo
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.provider.origin())
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.http.get(self.url(path))).await
    }

    pub async fn get_as(&self, token: &str, path: &str) -> Answer {
        Answer::of(self.http.get(self.url(path)).bearer_auth(token)).await
    }

    /// The user's decision about an authorization request.
    pub async fn decide(&self, request: &Pairs, scopes: &[&str], decision: &str) -> Answer {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(request)
            .finish();
        let mut form = vec![
            ("request", query.as_str()),
            ("account", "alice@example.test"),
        ];
        form.extend(scopes.iter().map(|scope| ("scope", *scope)));
        form.push(("decision", decision));
        Answer::of(self.http.post(self.url("/authorize")).form(&form)).await
    }

    /// A code for a request that the user allowed with these scopes ticked.
    pub async fn code(&self, request: &Pairs, scopes: &[&str]) -> String {
        self.decide(request, scopes, "allow").await.redirect().1["code"].clone()
    }

    /// A token request of the demo client, authenticated in its body.
    pub async fn token(&self, pairs: &[(&str, &str)]) -> Answer {
        let client = [
            ("client_id", DEMO_CLIENT_ID),
            ("client_secret", DEMO_CLIENT_SECRET),
        ];
        let form: Vec<_> = client.iter().chain(pairs).collect();
        Answer::of(self.http.post(self.url("/token")).form(&form)).await
    }

    pub async fn exchange(&self, code: &str) -> Answer {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ])
        .await
    }

    /// The whole flow for the default request with every scope ticked.
    pub async fn exchanged(&self) -> Answer {
        let code = self.code(&request(), &[READ, SEND]).await;
        self.exchange(&code).await
    }

    pub fn issued(&self) -> IssuedTokens {
        let scope = format!("openid email {READ} {SEND}");
        self.provider
            .issue("alice@example.test", DEMO_CLIENT_ID, &scope)
            .expect("alice exists")
    }

    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ])
        .await
    }
}

/// An authorization request for sign-in and two mail scopes, with PKCE, state and nonce.
pub fn request() -> Pairs {
    vec![
        ("client_id", DEMO_CLIENT_ID.to_owned()),
        ("redirect_uri", CALLBACK.to_owned()),
        ("response_type", "code".to_owned()),
        ("scope", format!("openid email {READ} {SEND}")),
        ("state", "a state & more".to_owned()),
        ("nonce", "n-1".to_owned()),
        ("code_challenge", CHALLENGE.to_owned()),
        ("code_challenge_method", "S256".to_owned()),
    ]
}

/// The default request with one parameter changed, or added.
pub fn request_with(name: &'static str, value: &str) -> Pairs {
    let mut request = request_without(name);
    request.push((name, value.to_owned()));
    request
}

/// The default request without one parameter.
pub fn request_without(name: &str) -> Pairs {
    request()
        .into_iter()
        .filter(|(known, _)| *known != name)
        .collect()
}
