//! One provider's share of a run: what is looked for next, how much may be under way, and
//! when to leave the provider in peace.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{Ended, IN_FLIGHT};
use crate::provider::Provider;
use crate::store::oauth_tokens::due::{Due, Reason};

/// Seconds between two runs where they come as often as is of use. What a read would refresh
/// before the next run is refreshed in this one; connections that came at the same time are
/// spread over another period.
const PERIOD: f64 = 300.0;
/// A read refreshes an access token so many seconds before its end, if the definition says
/// nothing else.
const MARGIN: f64 = 300.0;
/// A refresh token is used after this part of the time that it may lie idle, at the earliest,
/// and a quarter of that time later at the latest: months of failures end nothing.
const IDLE: f64 = 0.5;
const IDLE_SPREAD: f64 = 0.25;
/// So many times in a row a provider may be unavailable before the run gives it up.
const STRIKES: u32 = 5;

/// What a run knows of one provider.
pub(super) struct Lane<'a> {
    pub(super) provider: &'a Provider,
    /// Absent once there is nothing more to find.
    reason: Option<Reason>,
    in_flight: usize,
    /// How many may be in flight; halved whenever the provider is unavailable.
    limit: usize,
    strikes: u32,
    waits_until: Option<Instant>,
    stopped: bool,
    worked: bool,
}

impl<'a> Lane<'a> {
    pub(super) fn new(provider: &'a Provider) -> Self {
        Self {
            provider,
            reason: Some(Reason::Expiring),
            in_flight: 0,
            limit: IN_FLIGHT,
            strikes: 0,
            waits_until: None,
            stopped: false,
            worked: false,
        }
    }

    /// Whether there may be connections that had no turn.
    pub(super) fn has_more(&self) -> bool {
        self.reason.is_some()
    }

    /// Whether connections of it can still get their turn.
    pub(super) fn is_open(&self) -> bool {
        self.reason.is_some() && !self.stopped
    }

    /// When it goes on, if it is only waiting.
    pub(super) fn resumes(&self) -> Option<Instant> {
        self.waits_until.filter(|_| self.is_open())
    }

    /// Its name, if it refreshed anything.
    pub(super) fn worked(&self) -> Option<&'a str> {
        self.worked.then_some(self.provider.name.as_str())
    }

    /// What to claim now, and how many at the most; `None` to claim nothing now. Not one by
    /// one: a claim is a statement of its own.
    pub(super) fn next(
        &self,
        share: usize,
        free: usize,
        since: DateTime<Utc>,
    ) -> Option<(Due<'a>, usize)> {
        let waits = self.waits_until.is_some_and(|at| at > Instant::now());
        let reason = self.reason.filter(|_| !self.stopped && !waits)?;
        let most = self.limit.min(share);
        let room = most.saturating_sub(self.in_flight).min(free);
        if room == 0 || room < most / 2 {
            return None;
        }
        let definition = self.provider.configured();
        let (seconds, spread) = match reason {
            Reason::Expiring => (
                definition.refresh_margin.map_or(MARGIN, f64::from) + PERIOD,
                PERIOD,
            ),
            Reason::Idle => {
                let idle = definition.refresh_token_idle_lifetime? as f64;
                (idle * IDLE, idle * IDLE_SPREAD)
            }
        };
        let due = Due {
            provider: &self.provider.name,
            reason,
            seconds,
            spread,
            interval: definition.min_refresh_interval.map(f64::from),
            since,
        };
        Some((due, room))
    }

    /// `count` were claimed where there was room for `room`.
    pub(super) fn began(&mut self, count: usize, room: usize) {
        self.in_flight += count;
        if count < room {
            let idles = self.provider.configured().refresh_token_idle_lifetime;
            self.reason = match self.reason {
                Some(Reason::Expiring) => idles.map(|_| Reason::Idle),
                _ => None,
            };
        }
    }

    /// One of them has ended.
    pub(super) fn ended(&mut self, ended: &Ended) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match ended {
            Ended::Nothing | Ended::Failed => {}
            Ended::Refreshed => {
                self.worked = true;
                self.recover();
            }
            Ended::Dead => self.recover(),
            Ended::ClientRefused => self.stop(),
            Ended::Unavailable { retry_after } => self.wait(*retry_after),
        }
    }

    /// Nothing more of this provider in this run.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    fn recover(&mut self) {
        self.strikes = 0;
        self.limit = (self.limit + 1).min(IN_FLIGHT);
    }

    /// What was under way together fails together, and counts once.
    fn wait(&mut self, retry_after: Option<u64>) {
        let now = Instant::now();
        let waits = self.waits_until.is_some_and(|at| at > now);
        if !waits {
            self.strikes += 1;
            self.limit = (self.limit / 2).max(1);
        }
        let pause =
            retry_after.map_or(1 << self.strikes.min(STRIKES), |asked| asked.clamp(1, 3600));
        let until = now + Duration::from_secs(pause);
        self.waits_until = Some(self.waits_until.map_or(until, |at| at.max(until)));
        self.stopped |= self.strikes >= STRIKES;
    }
}
