//! Pages of a listing: `limit` and `cursor` in the query, `next` in the answer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use grantkeep_core::store::Cursor;

use crate::extract::Query;
use crate::problem::Problem;

const LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// Which page is asked for.
pub struct Paging {
    /// Where the page before ended.
    pub after: Option<Cursor>,
    limit: usize,
}

impl Paging {
    /// Of `limit` (1 to 200, else 50) and `cursor`.
    pub fn of(query: &Query) -> Result<Self, Problem> {
        let limit = match query.one("limit")?.map(str::parse::<usize>) {
            None => LIMIT,
            Some(Ok(limit @ 1..=MAX_LIMIT)) => limit,
            Some(_) => return Err(Problem::invalid("limit", "must be a number from 1 to 200")),
        };
        let after = query.one("cursor")?.map(read).transpose()?;
        Ok(Self { after, limit })
    }

    /// How many rows to read: one more than the page has tells whether there is a next one.
    pub fn fetch(&self) -> i64 {
        i64::try_from(self.limit + 1).unwrap_or(i64::MAX)
    }

    /// Cuts the rows that were read down to the page, and says where the next one begins: by
    /// the last row's time and id, in the order that the rows have.
    pub fn cut<T>(
        &self,
        rows: &mut Vec<T>,
        place: impl Fn(&T) -> (DateTime<Utc>, Uuid),
    ) -> Option<String> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        rows.last().filter(|_| more).map(|row| write(place(row)))
    }
}

fn write((at, id): (DateTime<Utc>, Uuid)) -> String {
    let mut bytes = at.timestamp_micros().to_be_bytes().to_vec();
    bytes.extend_from_slice(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read(text: &str) -> Result<Cursor, Problem> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (micros, id) = bytes.split_first_chunk::<8>()?;
        Some(Cursor {
            at: DateTime::from_timestamp_micros(i64::from_be_bytes(*micros))?,
            id: Uuid::from_slice(id).ok()?,
        })
    };
    read().ok_or_else(|| Problem::invalid("cursor", "must be `next` of an earlier answer"))
}
