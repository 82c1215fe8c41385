//! What is known about each provider, as data: one file per provider in
//! `definitions/`, checked when this crate is built and embedded as JSON, so
//! that a setting can be merged over it before it is read.

mod definition;
mod endpoint;
mod invalid;
mod merge;
mod read;
mod scopes;
mod template;
mod validate;

#[cfg(test)]
#[path = "../build/load.rs"]
mod load;

pub use definition::{
    AccountIdentity, AccountSource, ClientAuthentication, CodeChallengeMethod, Definition, Mail,
    MailApi, RefreshTokens, RequestBody, ResponseMode, Revocation, RevocationMethod,
    RevocationReach, ScopeRules, TemplateForm, TemplateParameter,
};
pub use invalid::Invalid;
pub use merge::merge;

/// A definition that comes with Grantkeep.
#[derive(Debug)]
pub struct BuiltIn {
    /// The provider's name in routes and settings, such as `gmail`.
    pub name: &'static str,
    /// Its [`Definition::family`], known before the definition is read.
    pub family: Option<&'static str>,
    /// Its [`Definition`] as a JSON object.
    pub json: &'static str,
}

impl BuiltIn {
    /// The definition, with template parameters filled in; `None` if its JSON is damaged.
    /// It was checked when this crate was built.
    pub fn definition(&self) -> Option<Definition> {
        let mut definition: Definition = serde_json::from_str(self.json).ok()?;
        definition.fill_templates();
        Some(definition)
    }
}

/// Every definition that comes with Grantkeep, sorted by name.
pub static BUILT_IN: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

#[cfg(test)]
mod built_in_tests;
#[cfg(test)]
mod docs_tests;
