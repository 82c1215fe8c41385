//! What is wrong with a definition. Values are never repeated: an operator's
//! setting may hold a secret in the wrong place.

use std::fmt;

/// One member of a definition that cannot be used, and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invalid {
    /// Path of the member, such as `token_endpoint` or `scopes[2]`; `name` for
    /// the provider's own name, empty for the definition as a whole.
    pub field: String,
    /// What to do, without the member's value.
    pub message: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.message),
            field => write!(f, "{field}: {}", self.message),
        }
    }
}

/// Collects what is wrong, so that all of it is reported at once.
#[derive(Default)]
pub(crate) struct Findings(pub(crate) Vec<Invalid>);

impl Findings {
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Invalid {
            field: field.into(),
            message: message.into(),
        });
    }
}
