//! One provider on the connect page, with its connections as people read them.

use chrono::{DateTime, Utc};

use grantkeep_core::App;
use grantkeep_core::provider::Provider;
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::store::oauth_tokens::{Connection, Status};

use crate::json::rfc3339;
use crate::provider_path::connect_url;

/// One provider.
#[derive(Clone, Debug)]
pub struct Card {
    /// In routes.
    pub provider: String,
    /// For people.
    pub name: String,
    /// Its connections, oldest first.
    pub connections: Vec<CardConnection>,
    /// Where Connect leads; nowhere when the provider is configured no longer.
    pub connect_url: Option<String>,
}

/// One connection on a card.
#[derive(Clone, Debug)]
pub struct CardConnection {
    /// For the disconnect form.
    pub id: String,
    /// The account.
    pub account: String,
    /// Whether it works.
    pub state: State,
    /// What that means and what to do, where the state alone does not say it.
    pub explanation: Option<String>,
    /// Permissions that were asked for and not granted.
    pub missing: Vec<String>,
    /// What `since` dates.
    pub since_label: &'static str,
    /// A date for people.
    pub since: String,
    /// The same for machines.
    pub since_iso: String,
    /// Where Reconnect leads.
    pub reconnect_url: Option<String>,
}

/// Whether a connection works, for people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It does.
    Connected,
    /// It does, with fewer permissions than asked for.
    Incomplete,
    /// It waits for the application.
    Pending,
    /// It has ended.
    Broken,
    /// Its provider is configured no longer.
    Orphaned,
}

impl State {
    /// Class of the stylesheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Connected => "good",
            Self::Incomplete | Self::Pending => "warn",
            Self::Broken => "bad",
            Self::Orphaned => "none",
        }
    }

    /// In a word or three.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connected => "Connected",
            Self::Incomplete => "Permissions missing",
            Self::Pending => "Waiting for confirmation",
            Self::Broken => "Access has ended",
            Self::Orphaned => "Not in use",
        }
    }

    /// Whether Reconnect is what to do now.
    pub fn wants_reconnect(self) -> bool {
        matches!(self, Self::Incomplete | Self::Broken)
    }
}

/// A card for every configured provider, then one for each provider that only old
/// connections name: they can still be disconnected.
pub fn cards(app: &App, rows: &[Connection]) -> Vec<Card> {
    let providers = &app.settings.providers;
    let mut cards: Vec<Card> = providers
        .iter()
        .map(|provider| card(app, provider, rows))
        .collect();
    for row in rows {
        let name = &row.key.provider;
        if providers.find(name).is_some() {
            continue;
        }
        let connection = orphan(row);
        match cards.iter_mut().find(|card| card.provider == *name) {
            Some(card) => card.connections.push(connection),
            None => cards.push(Card {
                provider: name.clone(),
                name: name.clone(),
                connections: vec![connection],
                connect_url: None,
            }),
        }
    }
    cards
}

fn card(app: &App, provider: &Provider, rows: &[Connection]) -> Card {
    let connections = rows
        .iter()
        .filter(|row| row.key.provider == provider.name)
        .map(|row| connection(app, provider, row))
        .collect();
    Card {
        provider: provider.name.clone(),
        name: provider.display_name().to_owned(),
        connections,
        connect_url: Some(connect_url(app, &provider.name, &ScopeSet::default(), None)),
    }
}

fn connection(app: &App, provider: &Provider, row: &Connection) -> CardConnection {
    let missing = provider.missing_scopes(&row.scopes, &row.requested_scopes);
    let account = Some(row.key.account.as_str());
    let reconnect_url = Some(connect_url(app, &provider.name, &missing, account));
    let name = provider.display_name();
    match row.status {
        Status::Active if missing.is_empty() => CardConnection {
            reconnect_url,
            ..entry(row, State::Connected, None)
        },
        Status::Active => CardConnection {
            missing: missing.iter().map(readable).collect(),
            reconnect_url,
            ..entry(
                row,
                State::Incomplete,
                Some("Some things will not work. Reconnect and leave every box ticked.".to_owned()),
            )
        },
        Status::Pending => CardConnection {
            since_label: "Begun on",
            ..entry(
                row,
                State::Pending,
                Some(
                    "Go back to the application: it has to confirm that this is you. If it does \
                     not do so within ten minutes, this connection is forgotten."
                        .to_owned(),
                ),
            )
        },
        Status::ReauthorizationRequired => CardConnection {
            since_label: "Ended on",
            since: date(row.status_since),
            since_iso: rfc3339(row.status_since),
            reconnect_url,
            ..entry(
                row,
                State::Broken,
                Some(format!(
                    "{name} no longer lets the application in: access was withdrawn there, ran \
                     out, or the password was changed. Reconnect to make it work again."
                )),
            )
        },
    }
}

fn orphan(row: &Connection) -> CardConnection {
    let explanation = "The application is not set up for this service any more.";
    entry(row, State::Orphaned, Some(explanation.to_owned()))
}

fn entry(row: &Connection, state: State, explanation: Option<String>) -> CardConnection {
    CardConnection {
        id: row.key.id.to_string(),
        account: row.key.account.clone(),
        state,
        explanation,
        missing: Vec::new(),
        since_label: "Connected on",
        since: date(row.created_at),
        since_iso: rfc3339(row.created_at),
        reconnect_url: None,
    }
}

fn date(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y").to_string()
}

/// A scope as near to plain words as its name comes: without the address that some providers
/// put before it, and with its parts apart.
fn readable(scope: &str) -> String {
    let address = scope.split_once("://").map(|(_, rest)| rest);
    let name = match address.and_then(|rest| rest.trim_end_matches('/').rsplit_once('/')) {
        Some((_, last)) => last,
        // The address of a whole service has no part that is a name.
        None if address.is_some() => return scope.to_owned(),
        None => scope,
    };
    let mut words = String::new();
    let mut before = ' ';
    for c in name.chars() {
        match c {
            '.' | ':' if !words.is_empty() => words.push_str(": "),
            '_' | '-' => words.push(' '),
            c if c.is_uppercase() && before.is_lowercase() => {
                words.push(' ');
                words.extend(c.to_lowercase());
            }
            c => words.push(c),
        }
        before = c;
    }
    words.replace("readonly", "read only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_permission_is_named_by_the_words_in_its_scope() {
        for (scope, words) in [
            (
                "https://api.example/auth/calendar.events.readonly",
                "calendar: events: read only",
            ),
            ("Mail.ReadWrite", "Mail: Read write"),
            ("files_read", "files read"),
            ("repo:status", "repo: status"),
            ("https://mail.example/", "https://mail.example/"),
        ] {
            assert_eq!(readable(scope), words);
        }
    }
}
