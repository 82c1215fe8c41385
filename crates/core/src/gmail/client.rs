//! The Gmail API as a poll needs it: one mailbox, its token kept from call to call, every
//! answer reduced to what is used of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Api;
use super::failure::{MailError, refusal};
use crate::api::send;
use crate::app::App;
use crate::scope::Mode;
use crate::secret::AccessToken;
use crate::store::oauth_tokens::Connection;
use crate::tokens::{self, Wanted};

/// The longest that one call may take.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Messages in a page of a listing, and records in a page of history.
const PAGE: &str = "100";

/// One mailbox.
pub struct Mailbox {
    app: App,
    provider: String,
    wanted: Wanted,
    token: Mutex<AccessToken>,
    requests: AtomicU32,
}

/// A page of a mailbox's history.
pub struct History {
    /// Messages that came or were given a label, each once.
    pub messages: Vec<String>,
    /// Read up to here.
    pub history_id: String,
    /// There is more after `history_id`.
    pub more: bool,
}

/// A page of a listing, newest first.
pub struct Page {
    /// Message ids.
    pub messages: Vec<String>,
    /// Where it goes on.
    pub next: Option<String>,
}

/// One message's headers.
pub struct Found {
    /// Its id.
    pub id: String,
    /// Its conversation.
    pub thread_id: String,
    /// The header `From`.
    pub from: String,
    /// The header `Subject`.
    pub subject: Option<String>,
    /// Its first words, as HTML writes them.
    pub snippet: Option<String>,
    /// Milliseconds since 1970.
    pub received_at: i64,
}

impl Mailbox {
    /// Of a connection that was read a moment ago; refreshes its token if it has to.
    pub async fn open(app: &App, connection: &Connection) -> Result<Self, MailError> {
        let api = api(app, &connection.key.provider)?;
        let wanted = Wanted {
            owner: connection.key.owner.clone(),
            account: Some(connection.key.account.clone()),
            scopes: api.read_scope(),
            mode: Mode::Effective,
            min_ttl: None,
            rejected: None,
        };
        let usable = tokens::usable_of(app, api.provider, &wanted, connection.clone()).await?;
        Ok(Self {
            app: app.clone(),
            provider: api.provider.name.clone(),
            wanted,
            token: Mutex::new(usable.credentials.access_token),
            requests: AtomicU32::new(0),
        })
    }

    /// How many requests were made.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Where the mailbox's history stands now.
    pub async fn history_id(&self) -> Result<String, MailError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Profile {
            history_id: String,
        }
        let profile: Profile = self.get("profile", &[("fields", "historyId")]).await?;
        Ok(profile.history_id)
    }

    /// What happened after `start`, oldest first; [`MailError::NotFound`] when that is too
    /// long ago.
    pub async fn history(&self, start: &str) -> Result<History, MailError> {
        const FIELDS: &str = "history(id,messagesAdded/message/id,\
            labelsAdded(message/id,labelIds)),nextPageToken,historyId";
        let mut query = vec![
            ("startHistoryId", start.to_owned()),
            ("historyTypes", "messageAdded".to_owned()),
            // Out of the spam folder, or under the label that a query names.
            ("historyTypes", "labelAdded".to_owned()),
            ("maxResults", PAGE.to_owned()),
            ("fields", FIELDS.to_owned()),
        ];
        let mut read: WrittenHistory = self.get("history", &query).await?;
        // A page whose records are all of other types is empty, and not the last one.
        while read.history.is_empty()
            && let Some(token) = read.next_page_token.take()
        {
            query.truncate(5);
            query.push(("pageToken", token));
            read = self.get("history", &query).await?;
        }
        let last = read.history.last().map(|record| record.id.clone());
        let more = read.next_page_token.is_some();
        let mut messages = BTreeSet::new();
        for record in read.history {
            messages.extend(record.messages_added.into_iter().map(|one| one.message.id));
            let found = record.labels_added.into_iter().filter(|one| {
                // Thrown away: no query finds those unless it names them.
                let away = |label: &String| matches!(label.as_str(), "TRASH" | "SPAM");
                !one.label_ids.iter().all(away)
            });
            messages.extend(found.map(|one| one.message.id));
        }
        Ok(History {
            messages: messages.into_iter().collect(),
            // Within the pages, the last record is as far as this page has read.
            history_id: last.filter(|_| more).unwrap_or(read.history_id),
            more,
        })
    }

    /// A page of what a query finds, from `after` on.
    pub async fn list(
        &self,
        query: &str,
        after: Option<DateTime<Utc>>,
        page_token: Option<&str>,
    ) -> Result<Page, MailError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Written {
            #[serde(default)]
            messages: Vec<Id>,
            next_page_token: Option<String>,
        }
        let query = match after {
            None => query.to_owned(),
            Some(after) => format!("({query}) after:{}", after.timestamp()),
        };
        let mut parameters = vec![
            ("q", query.as_str()),
            ("maxResults", PAGE),
            ("fields", "messages/id,nextPageToken"),
        ];
        if let Some(token) = page_token {
            parameters.push(("pageToken", token));
        }
        let read: Written = self.get("messages", &parameters).await?;
        Ok(Page {
            messages: read.messages.into_iter().map(|one| one.id).collect(),
            next: read.next_page_token,
        })
    }

    /// One message's headers.
    pub async fn message(&self, id: &str) -> Result<Found, MailError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Written {
            id: String,
            thread_id: String,
            internal_date: String,
            snippet: Option<String>,
            #[serde(default)]
            payload: Payload,
        }
        #[derive(Default, Deserialize)]
        struct Payload {
            #[serde(default)]
            headers: Vec<Header>,
        }
        #[derive(Deserialize)]
        struct Header {
            name: String,
            value: String,
        }
        // It becomes a part of a path.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if id.is_empty() || !id.chars().all(plain) {
            return Err(MailError::NotFound);
        }
        let mut query = vec![("format", "metadata"), ("metadataHeaders", "From")];
        // What is not to be stored is not asked for.
        if self.app.settings.store_mail_text {
            const FIELDS: &str = "id,threadId,internalDate,snippet,payload/headers";
            query.extend([("metadataHeaders", "Subject"), ("fields", FIELDS)]);
        } else {
            query.push(("fields", "id,threadId,internalDate,payload/headers"));
        }
        let read: Written = self.get(&format!("messages/{id}"), &query).await?;
        let header = |name: &str| {
            let mut headers = read.payload.headers.iter();
            headers
                .find(|header| header.name.eq_ignore_ascii_case(name))
                .map(|header| header.value.clone())
        };
        Ok(Found {
            from: header("From").unwrap_or_default(),
            subject: header("Subject").filter(|_| self.app.settings.store_mail_text),
            received_at: read
                .internal_date
                .parse()
                .map_err(|_| MailError::Unreadable)?,
            id: read.id,
            thread_id: read.thread_id,
            snippet: read.snippet.filter(|_| self.app.settings.store_mail_text),
        })
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, impl AsRef<str>)],
    ) -> Result<T, MailError> {
        let api = api(&self.app, &self.provider)?;
        let query: Vec<(&str, &str)> = query
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
            .collect();

        let token = self.token();
        self.count();
        let mut answer = send(&self.app, api.get(path, &query), &token, TIMEOUT).await?;
        if answer.status == 401 {
            let token = self.another_token(token).await?;
            self.count();
            answer = send(&self.app, api.get(path, &query), &token, TIMEOUT).await?;
        }
        match answer.status {
            200 => serde_json::from_slice(&answer.body).map_err(|_| MailError::Unreadable),
            _ => Err(refusal(&answer, self.app.now())),
        }
    }

    /// In place of one that the API did not take; one refresh, however many calls ask.
    async fn another_token(&self, rejected: AccessToken) -> Result<AccessToken, MailError> {
        let wanted = Wanted {
            owner: self.wanted.owner.clone(),
            account: self.wanted.account.clone(),
            scopes: self.wanted.scopes.clone(),
            rejected: Some(rejected),
            ..self.wanted
        };
        let provider = api(&self.app, &self.provider)?.provider;
        let usable = tokens::usable(&self.app, provider, &wanted).await?;
        let token = usable.credentials.access_token;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token.clone();
        Ok(token)
    }

    fn token(&self) -> AccessToken {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.clone()
    }

    fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// The mail API of a provider that is still configured and still has one.
fn api<'a>(app: &'a App, provider: &str) -> Result<Api<'a>, MailError> {
    let provider = app.settings.providers.find(provider);
    provider.and_then(Api::of).ok_or(MailError::NotConfigured)
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenHistory {
    #[serde(default)]
    history: Vec<Record>,
    next_page_token: Option<String>,
    history_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    id: String,
    #[serde(default)]
    messages_added: Vec<Added>,
    #[serde(default)]
    labels_added: Vec<Added>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Added {
    message: Id,
    #[serde(default)]
    label_ids: Vec<String>,
}
