//! Request parameters, whichever way they were sent.

use serde_json::Value;
use url::form_urlencoded;

/// Names and values in the order sent; a name may repeat.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query string or a form body.
    pub(crate) fn from_form(text: &[u8]) -> Parameters {
        Parameters(form_urlencoded::parse(text).into_owned().collect())
    }

    /// Reads a JSON object's string members; anything else is no parameters at all.
    pub(crate) fn from_json(text: &[u8]) -> Parameters {
        let Ok(Value::Object(members)) = serde_json::from_slice(text) else {
            return Parameters(Vec::new());
        };
        let strings = members.into_iter().filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            _ => None,
        });
        Parameters(strings.collect())
    }

    /// Reads a body by its content type.
    pub(crate) fn from_body(content_type: Option<&str>, body: &[u8]) -> Parameters {
        if is_json(content_type) {
            Self::from_json(body)
        } else {
            Self::from_form(body)
        }
    }

    /// The first value of this name; an empty one counts as not sent (RFC 6749 section 3.1).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut sent = self.0.iter().filter(|(sent, _)| sent == name);
        sent.next()
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Every value of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(sent, _)| sent == name)
            .map(|(_, value)| value.as_str())
    }

    /// All of them.
    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }
}

/// Whether a content type says JSON.
pub(crate) fn is_json(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|value| value.trim_start().starts_with("application/json"))
}
