//! How a provider's mailbox is spoken to: which providers have one, and what it takes, is in
//! their definitions.

use grantkeep_providers::{Mail, MailApi};
use http::{Method, Request, header};
use url::form_urlencoded::Serializer;

use crate::provider::Provider;
use crate::scope::ScopeSet;

/// The mail API of a provider.
#[derive(Clone, Copy)]
pub struct Api<'a> {
    /// Whose.
    pub provider: &'a Provider,
    mail: &'a Mail,
    base: &'a str,
}

impl<'a> Api<'a> {
    /// The provider's, if it has a mailbox.
    pub fn of(provider: &'a Provider) -> Option<Self> {
        let definition = provider.configured();
        Some(Self {
            provider,
            mail: definition.mail.as_ref()?,
            base: definition.api_base.as_deref()?.trim_end_matches('/'),
        })
    }

    /// What a token needs to send.
    pub fn send_scope(&self) -> ScopeSet {
        [self.mail.send_scope.as_str()].into_iter().collect()
    }

    /// What a token needs to search and read.
    pub fn read_scope(&self) -> ScopeSet {
        [self.mail.read_scope.as_str()].into_iter().collect()
    }

    /// Whether a scope was granted with which the API refuses searches, whatever others are.
    pub fn read_denied(&self, granted: &ScopeSet) -> bool {
        let denying = |scope: &str| self.mail.read_denied_by.iter().any(|own| own == scope);
        granted.iter().any(denying)
    }

    /// A GET below the mailbox, such as `messages`.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Request<Vec<u8>> {
        let query = Serializer::new(String::new()).extend_pairs(query).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        request(
            Method::GET,
            format!("{}{mark}{query}", self.url("", path)),
            None,
            Vec::new(),
        )
    }

    /// A POST of a file with its description: `multipart/related`, which takes messages of a
    /// size that a JSON body does not.
    pub fn upload(&self, path: &str, content_type: &str, body: Vec<u8>) -> Request<Vec<u8>> {
        let url = self.url("/upload", path);
        request(
            Method::POST,
            format!("{url}?uploadType=multipart"),
            Some(content_type),
            body,
        )
    }

    fn url(&self, prefix: &str, path: &str) -> String {
        match self.mail.api {
            MailApi::GmailV1 => format!("{}{prefix}/gmail/v1/users/me/{path}", self.base),
        }
    }
}

fn request(
    method: Method,
    url: String,
    content_type: Option<&str>,
    body: Vec<u8>,
) -> Request<Vec<u8>> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    // Made of a checked base and escaped parts; what is no address is refused when it is sent.
    *request.uri_mut() = url.parse().unwrap_or_default();
    if let Some(value) = content_type.and_then(|value| value.parse().ok()) {
        request.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    request
}
