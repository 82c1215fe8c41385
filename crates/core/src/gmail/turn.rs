//! One mailbox's turn: what is new since the last one, and a piece of what a new watch has
//! to list yet. Nothing is saved here; what a turn came to is saved in one statement, or,
//! if the process dies, found again by the next turn.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::Mailbox;
use super::ending::{self, End};
use super::failure::MailError;
use super::found;
use crate::app::App;
use crate::connection::ConnectionId;
use crate::store::email_messages::{self, NewMessage};
use crate::store::gmail_mailboxes::{Claimed, ClaimedWatch, Finished, Listed};
use crate::tokens::TokenError;

/// A mailbox with much to list gives way to others after so long.
const TURN: Duration = Duration::from_secs(15);
/// And after so many messages.
const MESSAGES: usize = 200;
/// Messages of one mailbox that are asked for at once: Gmail counts them for each user.
const AT_ONCE: usize = 4;
/// A listing that closes a gap in the history begins this long before the last poll.
const OVERLAP: TimeDelta = TimeDelta::hours(24);

/// What a turn came to.
pub struct Turn {
    /// For the mailbox.
    pub finished: Finished,
    /// For its watches.
    pub listed: Vec<Listed>,
    /// What was found.
    pub messages: Vec<NewMessage>,
    /// Requests that it took.
    pub requests: u32,
    /// What kind of an end it was.
    pub end: End,
}

/// Why a turn stops before its work is done.
enum Stop {
    /// Its time is over; the next turn goes on.
    Time,
    Failure(MailError),
}

impl<E: Into<MailError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

/// Polls one mailbox; begins nothing after `until`.
pub async fn take(app: App, mut claimed: Claimed, until: Instant) -> Turn {
    let connection = claimed.connection.key.id;
    let mut found = Gathered::default();
    let (result, requests) = match Mailbox::open(&app, &claimed.connection).await {
        Err(error) => (Err(Stop::Failure(error)), 0),
        Ok(mailbox) => {
            let mut work = Work {
                app: &app,
                mailbox: Arc::new(mailbox),
                connection,
                until: until.min(Instant::now() + TURN),
                seen: HashSet::new(),
                found: &mut found,
            };
            let result = work.run(&mut claimed).await;
            (result, work.mailbox.requests())
        }
    };

    let mut finished = Finished {
        connection_id: connection,
        history_id: found.history_id,
        unmatched: found.unmatched,
        error: None,
        next_in: 0.0,
    };
    let end = match result {
        Ok(()) if !found.more => {
            finished.next_in = ending::next_poll(&app);
            End::Done
        }
        Ok(()) | Err(Stop::Time) => End::Done,
        Err(Stop::Failure(error)) => {
            let ending = ending::of_failure(&app, &error, claimed.failures);
            finished.error = Some(ending.code);
            finished.next_in = ending.next_in;
            ending.end
        }
    };
    Turn {
        finished,
        listed: found.listed,
        messages: found.messages,
        requests,
        end,
    }
}

/// What a turn has so far; saved whether or not it comes to its end.
#[derive(Default)]
struct Gathered {
    history_id: Option<String>,
    unmatched: Option<Vec<String>>,
    listed: Vec<Listed>,
    messages: Vec<NewMessage>,
    /// Something is left that need not wait.
    more: bool,
}

/// A turn under way.
struct Work<'a> {
    app: &'a App,
    mailbox: Arc<Mailbox>,
    connection: ConnectionId,
    until: Instant,
    /// Asked for in this turn.
    seen: HashSet<String>,
    found: &'a mut Gathered,
}

impl Work<'_> {
    async fn run(&mut self, claimed: &mut Claimed) -> Result<(), Stop> {
        match claimed.history_id.take() {
            // Before anything is listed: what comes meanwhile is then in the history.
            None => self.found.history_id = Some(self.mailbox.history_id().await?),
            Some(start) => match self.mailbox.history(&start).await {
                Ok(news) => {
                    let seen_before = std::mem::take(&mut claimed.unmatched);
                    let unmatched = self
                        .select(&claimed.watches, &news.messages, seen_before)
                        .await?;
                    self.found.history_id = Some(news.history_id);
                    self.found.unmatched = Some(unmatched);
                    self.found.more |= news.more;
                }
                Err(MailError::NotFound) => {
                    self.found.history_id = Some(self.mailbox.history_id().await?);
                    self.close_gap(claimed);
                }
                Err(error) => return Err(error.into()),
            },
        }
        for watch in claimed.watches.iter_mut().filter(|watch| !watch.listed) {
            self.list(watch).await?;
        }
        Ok(())
    }

    /// The history no longer goes back to the last poll: everything since then is listed.
    fn close_gap(&mut self, claimed: &mut Claimed) {
        let since = claimed.polled_at.map(|at| at - OVERLAP);
        for watch in &mut claimed.watches {
            if watch.listed {
                watch.list_after = since;
            }
            watch.listed = false;
            watch.page_token = None;
            self.progress(watch);
        }
    }

    /// Fetches those of the mailbox's new messages that a watch looks for; the others, each
    /// for one more poll, because the search can lag behind the history.
    async fn select(
        &mut self,
        watches: &[ClaimedWatch],
        new: &[String],
        seen_before: Vec<String>,
    ) -> Result<Vec<String>, Stop> {
        let all: Vec<String> = new.iter().cloned().chain(seen_before).collect();
        let mut left: HashSet<String> = self.unknown(all).await?.into_iter().collect();
        let mut wanted = Vec::new();
        for watch in watches {
            // One that has not begun to list finds them there.
            if !watch.listed && watch.page_token.is_none() {
                continue;
            }
            let mut page_token = None;
            // Newest first: where a page has none of them, those after it have none either.
            while !left.is_empty() {
                self.check_time()?;
                let token = page_token.as_deref();
                let page = self.mailbox.list(&watch.query, None, token).await?;
                let before = left.len();
                wanted.extend(page.messages.into_iter().filter(|id| left.remove(id)));
                page_token = page.next;
                if left.len() == before || page_token.is_none() {
                    break;
                }
            }
        }
        self.fetch(wanted).await?;
        Ok(new
            .iter()
            .filter(|id| left.contains(*id))
            .cloned()
            .collect())
    }

    /// Goes on with the listing of a watch, page by page.
    async fn list(&mut self, watch: &mut ClaimedWatch) -> Result<(), Stop> {
        while !watch.listed {
            if self.seen.len() >= MESSAGES {
                return Err(Stop::Time);
            }
            self.check_time()?;
            let token = watch.page_token.as_deref();
            let page = match self
                .mailbox
                .list(&watch.query, watch.list_after, token)
                .await
            {
                // The token of a page is not good for ever; what was fetched is skipped.
                Err(MailError::Refused { status: 400, .. }) if token.is_some() => {
                    watch.page_token = None;
                    continue;
                }
                other => other?,
            };
            let unknown = self.unknown(page.messages).await?;
            self.fetch(unknown).await?;
            watch.listed = page.next.is_none();
            watch.page_token = page.next;
            if watch.listed {
                watch.list_after = None;
            }
            self.progress(watch);
        }
        Ok(())
    }

    fn progress(&mut self, watch: &ClaimedWatch) {
        self.found.listed.retain(|known| known.id != watch.id);
        self.found.listed.push(Listed {
            id: watch.id,
            listed: watch.listed,
            page_token: watch.page_token.clone(),
            list_after: watch.list_after,
        });
    }

    /// Without those that are stored, or were asked for in this turn.
    async fn unknown(&self, mut ids: Vec<String>) -> Result<Vec<String>, Stop> {
        ids.retain(|id| !self.seen.contains(id));
        if ids.is_empty() {
            return Ok(ids);
        }
        let known = email_messages::known(&self.app.store, self.connection, &ids)
            .await
            .map_err(TokenError::from)?;
        ids.retain(|id| !known.contains(id));
        Ok(ids)
    }

    /// Asks for messages, some at a time. Those that came before a failure are kept.
    async fn fetch(&mut self, ids: Vec<String>) -> Result<(), Stop> {
        let mut waiting = ids.into_iter();
        let mut asked = JoinSet::new();
        let mut stop = None;
        loop {
            while stop.is_none() && asked.len() < AT_ONCE {
                let Some(id) = waiting.next() else { break };
                if let Err(time) = self.check_time() {
                    stop = Some(time);
                    break;
                }
                let mailbox = self.mailbox.clone();
                asked.spawn(async move { (mailbox.message(&id).await, id) });
            }
            let Some(answered) = asked.join_next().await else {
                return stop.map_or(Ok(()), Err);
            };
            match answered {
                Ok((Ok(found), id)) => {
                    self.seen.insert(id);
                    let message = found::read(self.connection, found);
                    self.found.messages.push(message);
                }
                // Deleted since.
                Ok((Err(MailError::NotFound), id)) => drop(self.seen.insert(id)),
                Ok((Err(error), _)) => stop = Some(error.into()),
                Err(_panicked) => stop = Some(MailError::Unreadable.into()),
            }
        }
    }

    fn check_time(&self) -> Result<(), Stop> {
        match Instant::now() < self.until {
            true => Ok(()),
            false => Err(Stop::Time),
        }
    }
}
