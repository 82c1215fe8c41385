//! A browser's user: keeps cookies, goes through the demo provider's consent, follows
//! the redirects that matter one by one.

use std::collections::BTreeMap;

use grantkeep_demo_provider::DemoProvider;
use grantkeep_demo_provider::client::DEMO_CLIENT_ID;
use url::Url;

use crate::http::{Reply, client, send};

/// What the user chooses at the consent page.
#[derive(Clone, Debug)]
pub struct Consent {
    /// Which account.
    pub account: String,
    /// Scopes whose box is unticked.
    pub untick: Vec<String>,
    /// Says no.
    pub deny: bool,
}

impl Default for Consent {
    fn default() -> Self {
        Self {
            account: "alice@example.test".to_owned(),
            untick: Vec::new(),
            deny: false,
        }
    }
}

impl Consent {
    /// All boxes ticked, as another account.
    pub fn of(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            ..Self::default()
        }
    }

    /// Without one scope.
    pub fn without(scope: &str) -> Self {
        Self {
            untick: vec![scope.to_owned()],
            ..Self::default()
        }
    }

    /// No.
    pub fn deny() -> Self {
        Self {
            deny: true,
            ..Self::default()
        }
    }
}

/// A browser.
pub struct Visitor<'a> {
    origin: &'a str,
    /// Where the functions believe themselves to be.
    public_url: &'a str,
    /// Its cookies for the api.
    pub cookies: BTreeMap<String, String>,
}

impl<'a> Visitor<'a> {
    /// One that visits the functions at this origin, which may be another than the one
    /// that they believe themselves to be at.
    pub fn at(origin: &'a str, public_url: &'a str) -> Self {
        Self {
            origin,
            public_url,
            cookies: BTreeMap::new(),
        }
    }

    /// Follows nothing; keeps the cookies of the answer. `path` may be a full address at the api.
    pub async fn get(&mut self, path: &str) -> Reply {
        let path = [self.public_url, self.origin]
            .into_iter()
            .find_map(|origin| path.strip_prefix(origin))
            .unwrap_or(path);
        let request = client()
            .get(format!("{}{path}", self.origin))
            .header("cookie", self.cookie_header());
        let reply = send(request).await;
        self.keep(&reply);
        reply
    }

    /// A form, with our own origin.
    pub async fn post_form(&mut self, path: &str, form: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = client()
            .post(format!("{}{path}", self.origin))
            .header("cookie", self.cookie_header())
            .header("origin", self.public_url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let reply = send(request).await;
        self.keep(&reply);
        reply
    }

    /// Begins at `path`, consents, and comes back: the callback's answer.
    pub async fn connect(&mut self, path: &str, consent: &Consent) -> Reply {
        let begun = self.get(path).await;
        assert_eq!(begun.status, 302, "authorize: {}", begun.text);
        let callback = self.consent(begun.header("location"), consent).await;
        self.get(&callback).await
    }

    /// Answers the consent page of an authorization URL; where the provider sends the
    /// browser.
    pub async fn consent(&self, location: &str, consent: &Consent) -> String {
        let reply = submit(location, consent).await;
        assert_eq!(reply.status, 303, "consent: {}", reply.text);
        reply.header("location").to_owned()
    }

    /// The `Cookie` header that this browser would send.
    pub fn cookie_header(&self) -> String {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn keep(&mut self, reply: &Reply) {
        for cookie in reply.cookies() {
            let Some((name, rest)) = cookie.split_once('=') else {
                continue;
            };
            let value = rest.split(';').next().unwrap_or_default();
            match rest.contains("Max-Age=0") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
    }
}

/// Posts the consent form of an authorization URL.
pub async fn submit(location: &str, consent: &Consent) -> Reply {
    let url = Url::parse(location).expect("an authorization URL");
    let scopes = url
        .query_pairs()
        .find(|(name, _)| name == "scope")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let query = url.query().unwrap_or_default();
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("request", query);
    form.append_pair("account", &consent.account);
    form.append_pair("decision", if consent.deny { "deny" } else { "allow" });
    for scope in scopes
        .split([' ', ','])
        .filter(|scope| !consent.untick.iter().any(|u| u == scope))
    {
        form.append_pair("scope", scope);
    }
    let mut action = url.clone();
    action.set_query(None);
    let request = client()
        .post(action)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.finish());
    send(request).await
}

/// The code that a page gets from the demo provider's popup.
pub async fn popup_code(provider: &DemoProvider, scope: &str, consent: &Consent) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", DEMO_CLIENT_ID)
        .append_pair("redirect_uri", "postmessage")
        .append_pair("response_type", "code")
        .append_pair("access_type", "offline")
        .append_pair("prompt", "consent")
        .append_pair("scope", scope)
        .finish();
    let address = format!("{}/authorize?{query}", provider.origin());
    let given = submit(&address, consent).await;
    let code = given.json()["code"].as_str().map(str::to_owned);
    code.unwrap_or_else(|| panic!("no code: {}", given.text))
}
