//! The optional Redis cache of access tokens: ciphertext only, access tokens only. It never
//! fails a request, and its guarantee rests on two things that hold for every order of
//! events:
//!
//! 1. Who changes a connection first blocks it ([`Cache::block`]): for [`BLOCKED`] nobody
//!    serves it from Redis or puts it there. Only then the change is made.
//! 2. What was read from the database is served for at most [`LIFE`] after Redis was asked,
//!    which was before the read. A late write has already run out when it arrives.
//!
//! So after a change nothing older is served, unless Redis lost the block (it was down for
//! the writer, evicted it, failed over); then for five seconds at the most.

mod entry;
mod redis;
mod resp;
mod url;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

pub use entry::Entry;
pub use redis::RedisError;
pub use url::{RedisUrl, RedisUrlError};

use crate::app::App;
use crate::cipher::Place;
use crate::connection::{Owner, RowKey};
use crate::credentials::{Credentials, Times};
use crate::store::DatabaseUrl;
use crate::store::oauth_tokens::Connection;
use redis::{LIMIT, Redis};
use resp::Reply;

/// For so many milliseconds after Redis was asked, what was read then may be served.
pub const LIFE: i64 = 5_000;
/// For so many milliseconds a connection that is about to change is not served from here:
/// longer than the change can take, and [`LIFE`].
pub const BLOCKED: i64 = 60_000;
/// The value of a blocked key; shorter than anything sealed.
const BLOCK: &[u8] = b"-";
/// This instance's clock may differ by so many seconds from the database's; beyond that the
/// cache is not used. It bounds what a Redis can do that keeps values for ever.
const SKEW: i64 = 30;

/// What Redis holds of a connection.
#[derive(Debug)]
pub enum Found {
    /// It was read from the database a moment ago. Boxed: it is large.
    Entry(Box<Entry>),
    /// Nothing; a read that begins now may be put there as one that was asked for then.
    Nothing(Asked),
    /// Nothing that can be used, and nothing is to be put there.
    Unusable,
}

/// Redis' time when it was asked, in milliseconds, and how long the same request may wait
/// for Redis yet.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    at: i64,
    left: Duration,
}

/// A cache in Redis.
pub struct Cache {
    redis: Redis,
    /// Which database it is a cache of: several may share one Redis.
    database: Vec<u8>,
}

impl Cache {
    /// Connects to nothing yet.
    pub fn new(url: RedisUrl, database: &DatabaseUrl) -> Result<Self, RedisUrlError> {
        Ok(Self {
            redis: Redis::new(url)?,
            database: database.identity(),
        })
    }

    /// What it holds for these names: of the connection with this account, or of the only one.
    pub async fn find(
        &self,
        app: &App,
        provider: &str,
        owner: &Owner,
        account: Option<&str>,
    ) -> Found {
        if self.redis.rests() {
            return Found::Unusable;
        }
        let name = self.name(provider, owner, account);
        let limit = Instant::now() + LIMIT;
        let commands: [&[&[u8]]; 2] = [&[b"GET", name.as_bytes()], &[b"TIME"]];
        let Ok(replies) = self.redis.ask(&commands, limit).await else {
            return Found::Unusable;
        };
        let [value, time] = replies.as_slice() else {
            return Found::Unusable;
        };
        match (value, milliseconds(time)) {
            (Reply::Nothing, Some(at)) => Found::Nothing(Asked {
                at,
                left: limit.saturating_duration_since(Instant::now()),
            }),
            (Reply::Value(sealed), Some(now)) => self
                .open(app, &name, sealed, now)
                .map_or(Found::Unusable, |entry| Found::Entry(Box::new(entry))),
            _ => Found::Unusable,
        }
    }

    fn open(&self, app: &App, name: &str, sealed: &[u8], now: i64) -> Option<Entry> {
        let entry = Entry::open(sealed, name, &app.settings.keys)?;
        let age = now - entry.asked_at;
        let entry = (0..=LIFE).contains(&age).then(|| entry.aged(age))?;
        let skew = app.now() - entry.times.now;
        (skew.num_seconds().abs() <= SKEW).then_some(entry)
    }

    /// Puts there what the database answered to a read that began after `asked`, for as long
    /// as it may be served. Does nothing if the key was blocked or taken meanwhile, and waits
    /// for no answer.
    pub async fn put(
        &self,
        app: &App,
        connection: &Connection,
        credentials: &Credentials,
        account: Option<&str>,
        asked: Asked,
    ) {
        let key = &connection.key;
        let entry = Entry::of(connection, credentials, asked.at);
        let Some(life) = life(&entry.times) else {
            return;
        };
        let name = self.name(&key.provider, &key.owner, account);
        let sealed = entry.seal(&name, &app.settings.keys, app.fill);
        let until = (asked.at + life).to_string();
        let command: &[&[u8]] = &[
            b"SET",
            name.as_bytes(),
            &sealed,
            b"NX",
            b"PXAT",
            until.as_bytes(),
        ];
        // A failure is the cache's own affair, and noted there.
        let limit = Instant::now() + asked.left;
        drop(self.redis.tell(&[command], limit).await);
    }

    /// Keeps a connection that is about to change from being served from here. Asked even
    /// while reads leave Redis alone: it is seldom, and worth 50 ms. With the account's stable
    /// id where the change brings one, as reads may name that too. Whether Redis took it.
    pub async fn block(&self, key: &RowKey, subject: Option<&str>) -> bool {
        let blocked = BLOCKED.to_string();
        let names: Vec<String> = [None, Some(key.account.as_str())]
            .into_iter()
            .chain(subject.map(Some))
            .map(|account| self.name(&key.provider, &key.owner, account))
            .collect();
        let commands: Vec<[&[u8]; 5]> = names
            .iter()
            .map(|name| {
                [
                    &b"SET"[..],
                    name.as_bytes(),
                    BLOCK,
                    b"PX",
                    blocked.as_bytes(),
                ]
            })
            .collect();
        let commands: Vec<&[&[u8]]> = commands.iter().map(|command| &command[..]).collect();
        let result = self.redis.ask(&commands, Instant::now() + LIMIT).await;
        if let Err(error) = &result {
            let (id, provider) = (&key.id, &key.provider);
            tracing::warn!(event = "cache_not_blocked", connection_id = %id, %provider, %error);
        }
        result.is_ok()
    }

    /// How long Redis takes to answer.
    pub async fn ping(&self) -> Result<Duration, RedisError> {
        let began = Instant::now();
        let command: &[&[u8]] = &[b"PING"];
        let replies = self.redis.ask(&[command], began + LIMIT).await?;
        match replies.as_slice() {
            [Reply::Simple(_)] => Ok(began.elapsed()),
            _ => Err(RedisError::Protocol),
        }
    }

    /// The key in Redis: a hash, so that it tells no names and cannot be ambiguous.
    fn name(&self, provider: &str, owner: &Owner, account: Option<&str>) -> String {
        let names = [
            self.database.as_slice(),
            provider.as_bytes(),
            owner.workspace.as_bytes(),
            owner.actor.as_bytes(),
        ];
        let parts: Vec<&[u8]> = names
            .into_iter()
            .chain(account.map(str::as_bytes))
            .collect();
        let place = Place::new("cache", &parts);
        let hash = digest(&SHA256, place.as_bytes());
        format!("grantkeep:{}", URL_SAFE_NO_PAD.encode(hash))
    }
}

/// For how many milliseconds an entry may be served at all.
fn life(times: &Times) -> Option<i64> {
    let left = times
        .expires_at
        .map_or(LIFE, |end| (end - times.now).num_milliseconds());
    Some(left.min(LIFE)).filter(|life| *life > 0)
}

/// `TIME`: seconds, and microseconds of the second.
fn milliseconds(reply: &Reply) -> Option<i64> {
    let Reply::List(parts) = reply else {
        return None;
    };
    let number = |part: &Vec<u8>| std::str::from_utf8(part).ok()?.parse::<i64>().ok();
    match parts.as_slice() {
        [seconds, micros] => number(seconds)?
            .checked_mul(1000)?
            .checked_add(number(micros)? / 1000),
        _ => None,
    }
}
