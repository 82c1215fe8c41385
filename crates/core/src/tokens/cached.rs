//! Reads that the cache may answer. It is asked first and believed only where its entry is
//! as good as the database's answer; everything else goes to the database.

use super::{Issued, TokenError, Wanted, usable};
use crate::app::App;
use crate::cache::{Entry, Found};
use crate::connection::RowKey;
use crate::provider::Provider;

/// How the cache took part in a read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cached {
    /// There is none, or this read was none for it.
    Not,
    /// It was asked and could not help.
    Miss,
    /// The answer is its own.
    Hit,
}

impl Cached {
    /// For the log; nothing where it took no part.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Not => None,
            Self::Miss => Some("miss"),
            Self::Hit => Some("hit"),
        }
    }
}

/// What [`usable`] answers, perhaps from the cache. `whole` is for who needs the refresh
/// token too, which the cache does not have.
pub(super) async fn issue(
    app: &App,
    provider: &Provider,
    wanted: &Wanted,
    whole: bool,
) -> Result<Issued, TokenError> {
    let cache = match &app.cache {
        // What this instance could not write is newer than what anybody could have read.
        Some(cache) if !whole && wanted.rejected.is_none() && app.unsaved.is_empty() => cache,
        _ => return usable(app, provider, wanted).await.map(Issued::from),
    };
    let account = wanted.account.as_deref();
    let found = cache
        .find(app, &provider.name, &wanted.owner, account)
        .await;
    let asked = match found {
        Found::Entry(entry) if serves(&entry, provider, wanted) => {
            return Ok(issued(*entry, provider, wanted));
        }
        Found::Nothing(asked) => Some(asked),
        Found::Entry(_) | Found::Unusable => None,
    };
    let usable = usable(app, provider, wanted).await?;
    let (connection, credentials) = (&usable.connection, &usable.credentials);
    // A read may name the account by its id as well: such a name is no key of the cache.
    let by_name = account.is_none_or(|account| account == connection.key.account);
    if let Some(asked) = asked
        && usable.persisted
        && by_name
        && !credentials.is_stale(&connection.times(), provider.configured())
    {
        cache
            .put(app, connection, credentials, account, asked)
            .await;
    }
    Ok(Issued {
        cached: Cached::Miss,
        ..Issued::from(usable)
    })
}

/// Whether the database could not answer better.
fn serves(entry: &Entry, provider: &Provider, wanted: &Wanted) -> bool {
    let missing = entry
        .scopes
        .missing(&wanted.scopes, provider.scope_rules(), wanted.mode);
    missing.is_empty()
        && entry.times.is_usable()
        && !entry
            .credentials
            .is_stale(&entry.times, provider.configured())
        && !wanted
            .min_ttl
            .is_some_and(|ttl| entry.times.is_short_of(ttl))
        && wanted
            .account
            .as_ref()
            .is_none_or(|account| *account == entry.account)
}

fn issued(entry: Entry, provider: &Provider, wanted: &Wanted) -> Issued {
    Issued {
        key: RowKey {
            id: entry.id,
            provider: provider.name.clone(),
            owner: wanted.owner.clone(),
            account: entry.account,
        },
        scopes: entry.scopes,
        version: entry.version,
        times: entry.times,
        credentials: entry.credentials,
        persisted: true,
        cached: Cached::Hit,
    }
}
