//! What becomes a connection: the file's token set, brought up to date by what the
//! provider says.

use chrono::{DateTime, Utc};
use serde_json::Map;

use super::save::Order;
use super::{Imported, Refused, Scopes};
use crate::app::App;
use crate::connect::Identity;
use crate::connection::{Column, DEFAULT, RowKey, Version, name};
use crate::credentials::Credentials;
use crate::oauth::TokenSet;
use crate::provider::Provider;
use crate::scope::ScopeSet;
use crate::secret::AccessToken;
use crate::store::oauth_tokens::import::{ImportedRow, Place};

/// What the provider says.
pub(super) enum Verified {
    /// It gave a token set, and perhaps said whose it is.
    Works(Box<TokenSet>, Option<Identity>),
    /// It refused, with this `error`.
    Dead(String),
}

/// Scopes that go into the row, and whether they are only assumed to be granted.
pub(crate) fn scopes(provider: &Provider, imported: &Imported) -> (ScopeSet, bool) {
    match &imported.scopes {
        Scopes::Granted(scopes) => (scopes.clone(), false),
        Scopes::Requested(scopes) => (scopes.clone(), true),
        Scopes::Unknown => (provider.default_scopes(), true),
    }
}

/// A connection in the making.
pub(super) struct Candidate {
    credentials: Credentials,
    scopes: ScopeSet,
    scopes_assumed: bool,
    requested: ScopeSet,
    expires_at: Option<DateTime<Utc>>,
    refresh_expires_at: Option<DateTime<Utc>>,
    pub(super) identity: Identity,
    missing: ScopeSet,
    client_id: String,
    dead: Option<String>,
    pub(super) rotated: bool,
}

impl Candidate {
    pub(super) fn new(
        provider: &Provider,
        imported: &Imported,
        order: &Order,
        verified: Option<Verified>,
    ) -> Result<Self, Refused> {
        let (named, assumed) = scopes(provider, imported);
        let mut candidate = Self {
            credentials: credentials(imported),
            scopes: named.clone(),
            scopes_assumed: assumed,
            requested: named,
            expires_at: imported.expires_at,
            refresh_expires_at: imported.refresh_expires_at,
            identity: Identity {
                subject: imported.whose.subject.clone(),
                label: DEFAULT.to_owned(),
            },
            missing: ScopeSet::default(),
            client_id: provider.client.id.clone(),
            dead: None,
            rotated: false,
        };
        let mut told = None;
        match verified {
            None => {}
            Some(Verified::Dead(reason)) => candidate.dead = Some(reason),
            Some(Verified::Works(tokens, identity)) => {
                candidate.rotated = tokens.refresh_token.is_some();
                candidate.take(*tokens);
                told = identity.filter(|identity| identity.subject.is_some());
            }
        }
        candidate.identity = whose(imported, order, told)?;
        candidate.missing = provider.missing_scopes(&candidate.scopes, &candidate.requested);
        Ok(candidate)
    }

    fn take(&mut self, tokens: TokenSet) {
        let until = |seconds: Option<u64>| {
            let seconds = chrono::TimeDelta::seconds(i64::try_from(seconds?).ok()?);
            tokens.requested_at.checked_add_signed(seconds)
        };
        self.expires_at = until(tokens.expires_in);
        self.refresh_expires_at =
            until(tokens.refresh_token_expires_in).or(self.refresh_expires_at);
        if let Some(granted) = &tokens.scope {
            self.scopes = granted.clone();
            self.scopes_assumed = false;
        }
        self.credentials = self.credentials.refreshed(tokens);
    }

    /// As a row of this key, over the version `seen`; where it came from is left empty.
    pub(super) fn row(&self, app: &App, key: &RowKey, seen: Option<Version>) -> ImportedRow {
        let left = |at: Option<DateTime<Utc>>| at.map(|at| (at - app.now()).as_seconds_f64());
        let keys = &app.settings.keys;
        let sealed = keys.seal(
            &self.credentials.to_plaintext(),
            &key.place(Column::TokenData),
            app.fill,
        );
        ImportedRow {
            place: Place::new(key, seen, &sealed, keys.primary_id()),
            subject: self.identity.subject.clone(),
            client_id: self.client_id.clone(),
            scopes: self.scopes.as_slice().to_vec(),
            requested_scopes: self.requested.as_slice().to_vec(),
            missing_scopes: self.missing.as_slice().to_vec(),
            scopes_assumed: self.scopes_assumed,
            expires_in: expires_in(&self.credentials, left(self.expires_at)),
            refresh_expires_in: left(self.refresh_expires_at),
            dead: self.dead.clone(),
            created_at: None,
            format: "",
            fingerprint: String::new(),
            source_key: None,
        }
    }
}

/// Seconds left. A token whose expiry nobody knows, beside a refresh token, counts as
/// ended: the first read refreshes it, as google-auth would.
pub(crate) fn expires_in(credentials: &Credentials, left: Option<f64>) -> Option<f64> {
    const LONG_AGO: f64 = -1.0;
    let known = left.filter(|_| !credentials.access_token.expose().is_empty());
    match credentials.refresh_token.is_some() {
        true => Some(known.unwrap_or(LONG_AGO)),
        false => known,
    }
}

/// The token set of a file. Where only a refresh token was kept, the access token is
/// empty and has ended.
pub(crate) fn credentials(imported: &Imported) -> Credentials {
    Credentials {
        access_token: imported
            .access_token
            .clone()
            .unwrap_or_else(|| AccessToken::new("")),
        refresh_token: imported.refresh_token.clone(),
        lifetime: None,
        metadata: Map::new(),
    }
}

/// The account: as ordered, else as the provider says, else as the file says. An address
/// that the provider contradicts is refused: tokens would go by somebody else's name.
fn whose(imported: &Imported, order: &Order, told: Option<Identity>) -> Result<Identity, Refused> {
    let in_file = &imported.whose;
    let subject = match &told {
        Some(identity) => identity.subject.clone(),
        None => in_file.subject.clone(),
    };
    let Some(account) = &order.account else {
        // A provider that tells an id and no name leaves the naming to the file.
        let named = told.filter(|it| {
            in_file.account.is_none() || it.subject.as_deref() != Some(it.label.as_str())
        });
        let label = match named {
            Some(identity) => identity.label,
            None => match in_file.account.as_ref().or(subject.as_ref()) {
                Some(label) => {
                    name("account", label).map_err(|error| bad_name("account", &error))?
                }
                None => DEFAULT.to_owned(),
            },
        };
        return Ok(Identity { subject, label });
    };
    let is_address = |text: &str| text.contains('@');
    let contradicted = told.is_some_and(|identity| {
        is_address(account)
            && is_address(&identity.label)
            && !account.eq_ignore_ascii_case(&identity.label)
    });
    match contradicted {
        true => Err(Refused::new(
            "account",
            "the provider says that these credentials are of another account: leave it out to \
             take the provider's word",
        )),
        false => Ok(Identity {
            subject,
            label: account.clone(),
        }),
    }
}

fn bad_name(field: &str, error: &impl std::fmt::Display) -> Refused {
    let text = error.to_string();
    let message = text.strip_prefix(field).unwrap_or(&text).trim_start();
    Refused::new(field, message)
}
