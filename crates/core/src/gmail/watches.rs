//! Setting up what to look for in a mailbox.

use super::Api;
use crate::app::App;
use crate::scope::{Mode, ScopeSet};
use crate::store::StoreError;
use crate::store::gmail_watches::{self, Watch};
use crate::store::oauth_tokens::Connection;

/// The longest query, in bytes.
pub const MAX_QUERY: usize = 1024;
/// Watches of one mailbox at the most: each costs a search whenever something new came.
pub const MAX_WATCHES: i64 = 20;

/// Why a watch is not set up.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The connection may not search.
    #[error("the connection was not granted the right to search")]
    InsufficientScope {
        /// What to ask the user for.
        missing: ScopeSet,
    },
    /// The provider refuses searches while this scope is granted, whatever others are.
    #[error("the connection was also granted gmail.metadata, with which searching is refused")]
    MetadataGranted,
    /// There are [`MAX_WATCHES`].
    #[error("the mailbox has too many watches")]
    TooMany,
    /// It was taken away in this moment, or its connection was.
    #[error("the watch is gone")]
    Gone,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A query or sender that cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidQuery {
    /// Nothing, or too much of it.
    #[error("must have 1 to 1024 bytes")]
    Length,
    /// Line breaks and the like.
    #[error("must not have control characters")]
    Control,
    /// A quotation mark or bracket without its counterpart.
    #[error("has a quotation mark or bracket without its counterpart")]
    Unbalanced,
    /// In a sender, which is quoted as a whole.
    #[error("must not have quotation marks")]
    Quoted,
}

/// The query that finds what one sender writes, and nothing else: quoted, so that no part
/// of the value is an operator.
pub fn from_sender(sender: &str) -> Result<String, InvalidQuery> {
    let sender = sender.trim();
    if sender.contains(['"', '\u{201c}', '\u{201d}']) {
        return Err(InvalidQuery::Quoted);
    }
    if sender.is_empty() {
        return Err(InvalidQuery::Length);
    }
    checked(&format!("from:\"{sender}\""))
}

/// A query in the provider's search language, as far as it can be checked here: it can be
/// put into brackets without its meaning getting out of them.
pub fn checked(query: &str) -> Result<String, InvalidQuery> {
    let query = query.trim();
    if query.is_empty() || query.len() > MAX_QUERY {
        return Err(InvalidQuery::Length);
    }
    if query.chars().any(char::is_control) {
        return Err(InvalidQuery::Control);
    }
    let mut quoted = false;
    let mut open = Vec::new();
    for c in query.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' => open.push(')'),
            '{' => open.push('}'),
            ')' | '}' if open.pop() != Some(c) => return Err(InvalidQuery::Unbalanced),
            _ => {}
        }
    }
    match quoted || !open.is_empty() {
        true => Err(InvalidQuery::Unbalanced),
        false => Ok(query.to_owned()),
    }
}

/// Sets a watch up, or finds the one that is there; whether it is new.
pub async fn begin(
    app: &App,
    api: &Api<'_>,
    connection: &Connection,
    query: &str,
) -> Result<(Watch, bool), WatchError> {
    let rules = api.provider.scope_rules();
    let missing = connection
        .scopes
        .missing(&api.read_scope(), rules, Mode::Effective);
    if !missing.is_empty() {
        return Err(WatchError::InsufficientScope { missing });
    }
    if api.read_denied(&connection.scopes) {
        return Err(WatchError::MetadataGranted);
    }
    let (id, key) = (app.new_id(), connection.key.id);
    if !gmail_watches::insert(&app.store, id, key, query, MAX_WATCHES).await? {
        return Err(WatchError::TooMany);
    }
    let watch = gmail_watches::find(&app.store, key, query).await?;
    let watch = watch.ok_or(WatchError::Gone)?;
    let new = watch.id == id;
    Ok((watch, new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wk04_a_sender_cannot_widen_the_query() {
        assert_eq!(
            from_sender(" a@b.c OR is:anywhere ").as_deref(),
            Ok("from:\"a@b.c OR is:anywhere\"")
        );
        for sender in ["a\" OR is:anywhere \"", "a\u{201d} OR b", "", " ", "a\r\nb"] {
            assert!(from_sender(sender).is_err(), "{sender}");
        }
    }

    #[test]
    fn a_query_stays_within_its_brackets() {
        for query in [
            "from:a@b.c",
            "{from:a from:b} (subject:x OR \"unbalanced ) but quoted\")",
        ] {
            assert_eq!(checked(query).as_deref(), Ok(query));
        }
        let long = "x".repeat(MAX_QUERY + 1);
        for query in ["", "a) OR (b", "(a", "{a)", "\"a", "a\u{0}", long.as_str()] {
            assert!(checked(query).is_err(), "{query}");
        }
    }
}
