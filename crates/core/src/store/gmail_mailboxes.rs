//! `gmail_mailboxes`: which mailboxes are due, and the right to poll one. A lease and not
//! a transaction, as everywhere: a poller that dies leaves a mailbox that is due again
//! when its lease has run out.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::email_messages::NewMessage;
use super::oauth_tokens::{self, Connection};
use super::{Store, StoreError};
use crate::connection::ConnectionId;

/// A mailbox that is ours to poll until its lease ends.
pub struct Claimed {
    /// The connection, its token set still sealed.
    pub connection: Connection,
    /// Where its history was read up to.
    pub history_id: Option<String>,
    /// New messages that no watch matched at first sight.
    pub unmatched: Vec<String>,
    /// Polls that failed in a row.
    pub failures: i32,
    /// The last poll that succeeded.
    pub polled_at: Option<DateTime<Utc>>,
    /// What to look for.
    pub watches: Vec<ClaimedWatch>,
}

/// One query of a claimed mailbox, and how far its listing has come.
#[derive(Clone)]
pub struct ClaimedWatch {
    /// The watch.
    pub id: Uuid,
    /// In the provider's search language.
    pub query: String,
    /// Everything that was there before has been listed.
    pub listed: bool,
    /// Where the listing goes on.
    pub page_token: Option<String>,
    /// It begins here, not at the mailbox's beginning.
    pub list_after: Option<DateTime<Utc>>,
}

/// Claims due mailboxes, those that wait longest first, `limit` at the most. Mailboxes of
/// connections that do not work, or without a watch, are put off for `parked` seconds, so
/// that they are not looked at again and again. Answers what was claimed, and whether more
/// may be due.
pub async fn claim(
    store: &Store,
    holder: Uuid,
    limit: i64,
    lease: f64,
    parked: f64,
) -> Result<(Vec<Claimed>, bool), StoreError> {
    static SQL: std::sync::LazyLock<String> = std::sync::LazyLock::new(claim_sql);
    let rows = store
        .write(
            &SQL,
            &[
                (&holder, Type::UUID),
                (&limit, Type::INT8),
                (&lease, Type::FLOAT8),
                (&parked, Type::FLOAT8),
            ],
        )
        .await?;
    let claimed = rows.iter().filter_map(Claimed::read).collect();
    Ok((
        claimed,
        i64::try_from(rows.len()).is_ok_and(|found| found >= limit),
    ))
}

/// `poll_at` of a claimed mailbox is its lease's end, so that the index alone passes over
/// what others poll; a watch added meanwhile sets it to now, and [`finish`] leaves it so.
fn claim_sql() -> String {
    let columns = oauth_tokens::COLUMNS;
    format!(
        "with due as (
             select m.connection_id,
                    t.status = 'active' and exists (
                        select 1 from gmail_watches w where w.connection_id = m.connection_id
                    ) as ready
               from gmail_mailboxes m join oauth_tokens t on t.id = m.connection_id
              where m.poll_at <= now() and (m.lease_until is null or m.lease_until <= now())
              order by m.poll_at limit $2
                for update of m skip locked),
         claimed as (
             update gmail_mailboxes m
                set lease_id = case when ready then $1::uuid end,
                    lease_until = case when ready then now() + make_interval(secs => $3) end,
                    poll_at = now() + make_interval(secs => case when ready then $3 else $4 end)
               from due where m.connection_id = due.connection_id
          returning m.connection_id, m.history_id, m.unmatched, m.failures, m.polled_at, ready)
         select t.*, c.history_id, c.unmatched, c.failures, c.polled_at, c.ready, w.*
           from claimed c
          cross join lateral (
                select {columns} from oauth_tokens where id = c.connection_id) t
          cross join lateral (
                select array_agg(id order by id) as watch_ids,
                       array_agg(query order by id) as queries,
                       array_agg(listed order by id) as listed,
                       array_agg(page_token order by id) as page_tokens,
                       array_agg(list_after order by id) as list_afters
                  from gmail_watches where c.ready and connection_id = c.connection_id) w"
    )
}

impl Claimed {
    /// `None` for a mailbox that was put off.
    fn read(row: &Row) -> Option<Self> {
        if !row.get::<_, bool>("ready") {
            return None;
        }
        let queries: Vec<String> = row.get("queries");
        let listed: Vec<bool> = row.get("listed");
        let page_tokens: Vec<Option<String>> = row.get("page_tokens");
        let list_afters: Vec<Option<DateTime<Utc>>> = row.get("list_afters");
        let progress = listed.into_iter().zip(page_tokens).zip(list_afters);
        let watches = row
            .get::<_, Vec<Uuid>>("watch_ids")
            .into_iter()
            .zip(queries)
            .zip(progress)
            .map(
                |((id, query), ((listed, page_token), list_after))| ClaimedWatch {
                    id,
                    query,
                    listed,
                    page_token,
                    list_after,
                },
            )
            .collect();
        Some(Self {
            connection: Connection::read(row),
            history_id: row.get("history_id"),
            unmatched: row.get("unmatched"),
            failures: row.get("failures"),
            polled_at: row.get("polled_at"),
            watches,
        })
    }
}

/// How the poll of one mailbox ended. What it found is in `messages` and `watches` of
/// [`finish`], and saved with it or not at all.
#[derive(Serialize)]
pub struct Finished {
    /// The mailbox.
    pub connection_id: ConnectionId,
    /// Where its history was read up to; `None` leaves it as it was.
    pub history_id: Option<String>,
    /// New messages to ask for once more; `None` leaves them as they were.
    pub unmatched: Option<Vec<String>>,
    /// A code of what went wrong; `None` is a success.
    pub error: Option<String>,
    /// Seconds until the next poll.
    pub next_in: f64,
}

/// How far the listing of a watch has come.
#[derive(Serialize)]
pub struct Listed {
    /// The watch.
    pub id: Uuid,
    /// Nothing is left to list.
    pub listed: bool,
    /// Where it goes on.
    pub page_token: Option<String>,
    /// Where it began.
    pub list_after: Option<DateTime<Utc>>,
}

/// What [`finish`] saved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saved {
    /// Messages that were not there before.
    pub messages: i64,
    /// Mailboxes whose lease was still ours.
    pub mailboxes: i64,
}

/// Saves what the polls of some mailboxes found and gives their leases back, in one
/// statement. A mailbox whose lease went to somebody else keeps that one's progress; its
/// messages are saved all the same, each once.
///
/// The connections are locked first: a disconnect takes the same rows in the same order,
/// and waits, or has been first and leaves nothing to save to.
pub async fn finish(
    store: &Store,
    holder: Uuid,
    mailboxes: &[Finished],
    watches: &[Listed],
    messages: &[NewMessage],
) -> Result<Saved, StoreError> {
    let (mailboxes, watches, messages) = (json!(mailboxes), json!(watches), json!(messages));
    let rows = store
        .write(
            "with done as (
                 select * from jsonb_to_recordset($2) as d(
                        connection_id uuid, history_id text, unmatched text[], error text,
                        next_in float8)),
             alive as materialized (
                 select id from oauth_tokens
                  where id in (select connection_id from done)
                  order by id for key share),
             stored as (
                 insert into email_messages
                        (id, connection_id, message_id, thread_id, sender, subject, snippet,
                         received_at)
                 select gen_random_uuid(), x.connection_id, x.message_id, x.thread_id, x.sender,
                        x.subject, x.snippet, to_timestamp(x.received_at / 1000.0)
                   from jsonb_to_recordset($4) as x(
                        connection_id uuid, message_id text, thread_id text, sender text,
                        subject text, snippet text, received_at int8)
                   join alive on alive.id = x.connection_id
                     on conflict (connection_id, message_id) do nothing
              returning 1),
             listed as (
                 update gmail_watches w
                    set listed = x.listed, page_token = x.page_token, list_after = x.list_after
                   from jsonb_to_recordset($3) as x(
                        id uuid, listed boolean, page_token text, list_after timestamptz),
                        gmail_mailboxes m
                  where w.id = x.id and m.connection_id = w.connection_id and m.lease_id = $1),
             released as (
                 update gmail_mailboxes m
                    set history_id = coalesce(d.history_id, m.history_id),
                        unmatched = coalesce(d.unmatched, m.unmatched),
                        error = d.error,
                        failures = case when d.error is null then 0 else m.failures + 1 end,
                        polled_at = case when d.error is null then now() else m.polled_at end,
                        poll_at = case when m.poll_at < m.lease_until then m.poll_at
                                       else now() + make_interval(secs => d.next_in) end,
                        lease_id = null, lease_until = null
                   from done d join alive on alive.id = d.connection_id
                  where m.connection_id = d.connection_id and m.lease_id = $1
              returning 1)
             select (select count(*) from stored), (select count(*) from released)",
            &[
                (&holder, Type::UUID),
                (&mailboxes, Type::JSONB),
                (&watches, Type::JSONB),
                (&messages, Type::JSONB),
            ],
        )
        .await?;
    Ok(rows.first().map_or_else(Saved::default, |row| Saved {
        messages: row.get(0),
        mailboxes: row.get(1),
    }))
}

/// How many mailboxes are due now, `limit` at the most.
pub async fn count_due(store: &Store, limit: i64) -> Result<i64, StoreError> {
    let rows = store
        .read(
            "select count(*) from (
                    select 1 from gmail_mailboxes
                     where poll_at <= now() and (lease_until is null or lease_until <= now())
                     limit $1) as due",
            &[(&limit, Type::INT8)],
        )
        .await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}
