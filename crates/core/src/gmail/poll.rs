//! Polling every watched mailbox that is due. Any number of invocations share the work:
//! each claims a few mailboxes at a time, polls them, and saves what it found.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::ending::{End, PARKED};
use super::turn::{self, Turn};
use crate::app::App;
use crate::store::StoreError;
use crate::store::gmail_mailboxes;

/// Mailboxes that one invocation polls at once.
const AT_ONCE: usize = 64;
/// So many have to be free before more are claimed: one statement for several.
const CLAIM: usize = 16;
/// So many are saved in one statement.
const SAVE: usize = 32;
/// A mailbox is nobody else's for so long. Longer than a function may run, so that no two
/// ever poll the same one; if its poller is killed, it is due again after that.
const LEASE: Duration = Duration::from_secs(90);
/// So many failures in a row, each of a busy provider: the invocation leaves it alone.
const GIVE_UP: u32 = 32;

/// What an invocation did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Polled {
    /// Mailboxes polled to their end, or to the end of their turn.
    pub mailboxes: u64,
    /// Messages that are new in the database.
    pub messages: u64,
    /// Requests to the provider.
    pub requests: u64,
    /// Mailboxes whose poll failed; each is tried again later.
    pub failed: u64,
    /// Of these, mailboxes whose grant turned out to be dead.
    pub dead: u64,
    /// Mailboxes that are due are left, because the time is over or the provider is busy.
    pub more: bool,
}

/// Polls what is due, `limit` mailboxes at the most, and begins nothing after `until`. What
/// has begun comes to its end: one that is refreshing a token must not be interrupted.
pub async fn run(app: &App, until: Instant, limit: Option<u64>) -> Result<Polled, StoreError> {
    let mut run = Run {
        app,
        holder: app.new_id(),
        until,
        left: limit.unwrap_or(u64::MAX),
        turns: JoinSet::new(),
        ended: Vec::new(),
        busy_in_a_row: 0,
        due: true,
        polled: Polled::default(),
    };
    let result = run.work().await;
    // After an error: no task may outlive the answer, none may be cut off.
    while run.turns.join_next().await.is_some() {}
    result.map(|()| Polled {
        more: run.due,
        ..run.polled
    })
}

struct Run<'a> {
    app: &'a App,
    holder: Uuid,
    until: Instant,
    left: u64,
    turns: JoinSet<Turn>,
    ended: Vec<Turn>,
    busy_in_a_row: u32,
    /// There may be mailboxes that are due and nobody's.
    due: bool,
    polled: Polled,
}

impl Run<'_> {
    async fn work(&mut self) -> Result<(), StoreError> {
        loop {
            self.claim().await?;
            match self.turns.join_next().await {
                None if self.ended.is_empty() && !self.may_claim() => return Ok(()),
                None => {}
                Some(Ok(turn)) => self.note(turn),
                // Its lease runs out; the panic has been logged.
                Some(Err(_panicked)) => self.polled.failed += 1,
            }
            while let Some(Ok(turn)) = self.turns.try_join_next() {
                self.note(turn);
            }
            if self.ended.len() >= SAVE || self.turns.is_empty() {
                self.save().await?;
            }
        }
    }

    fn may_claim(&self) -> bool {
        self.due && self.left > 0 && self.busy_in_a_row < GIVE_UP && Instant::now() < self.until
    }

    async fn claim(&mut self) -> Result<(), StoreError> {
        let free = AT_ONCE.saturating_sub(self.turns.len());
        let wanted = self.left.min(free as u64);
        if !self.may_claim() || free < CLAIM {
            return Ok(());
        }
        let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
        let seconds = LEASE.as_secs_f64();
        let (claimed, more) =
            gmail_mailboxes::claim(&self.app.store, self.holder, limit, seconds, PARKED).await?;
        self.due = more;
        self.left -= claimed.len() as u64;
        for claimed in claimed {
            let turn = turn::take(self.app.clone(), claimed, self.until);
            self.turns.spawn(turn);
        }
        Ok(())
    }

    fn note(&mut self, turn: Turn) {
        self.polled.requests += u64::from(turn.requests);
        self.polled.mailboxes += 1;
        if let Some(error) = &turn.finished.error {
            let id = turn.finished.connection_id;
            tracing::warn!(connection_id = %id, error, "poll failed");
            self.polled.failed += 1;
        }
        match turn.end {
            End::Busy => self.busy_in_a_row += 1,
            End::Done => self.busy_in_a_row = 0,
            End::Dead => self.polled.dead += 1,
            End::Failed => {}
        }
        self.ended.push(turn);
    }

    async fn save(&mut self) -> Result<(), StoreError> {
        let (mut mailboxes, mut watches, mut messages) = (Vec::new(), Vec::new(), Vec::new());
        for turn in self.ended.drain(..) {
            // It is due again at once.
            self.due |= turn.finished.next_in == 0.0;
            mailboxes.push(turn.finished);
            watches.extend(turn.listed);
            messages.extend(turn.messages);
        }
        if mailboxes.is_empty() {
            return Ok(());
        }
        let saved = gmail_mailboxes::finish(
            &self.app.store,
            self.holder,
            &mailboxes,
            &watches,
            &messages,
        )
        .await?;
        self.polled.messages += u64::try_from(saved.messages).unwrap_or_default();
        Ok(())
    }
}
