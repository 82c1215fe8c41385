//! The outbox: events that wait for their webhook, in their own rows. Who claims an event
//! pushes its time ahead, so that a sender that dies costs a delay and no event.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::super::{Store, StoreError};

/// What is due: neither delivered nor given up, of a kind that is sent, and not older than
/// [`MAX_AGE`]. The same words as in the index `connection_events_outbox`.
const WAITING: &str = "delivered_at is null and not delivery_given_up \
    and type <> 'callback.refused' and created_at > now() - interval '3 days'";

/// An event is tried for so many seconds after it was written. What is older when a webhook
/// is set up, or when deliveries begin again, is not sent at all.
pub const MAX_AGE: f64 = 3.0 * 86_400.0;

/// An event to be delivered.
pub struct Due {
    /// Stable over every attempt.
    pub id: Uuid,
    /// What happened.
    pub kind: String,
    /// To which connection; absent for those of a whole provider.
    pub connection_id: Option<Uuid>,
    /// The provider's name.
    pub provider: String,
    /// The tenant.
    pub workspace: Option<String>,
    /// The user within it.
    pub actor: Option<String>,
    /// Members of its own.
    pub data: Value,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// How old it is, in seconds.
    pub age: f64,
    /// Attempts so far, this one included.
    pub attempts: i32,
}

/// Takes up to `limit` events that are due, the oldest first, and keeps others from taking
/// them for `seconds`.
pub async fn claim(store: &Store, limit: i64, seconds: f64) -> Result<Vec<Due>, StoreError> {
    let rows = store
        .write(
            &format!(
                "with due as (
                     select id from connection_events
                      where {WAITING} and deliver_at <= now()
                      order by created_at, id limit $1 for update skip locked)
                 update connection_events event
                    set deliver_at = now() + make_interval(secs => $2),
                        delivery_attempts = delivery_attempts + 1
                   from due where event.id = due.id
              returning event.id, type, connection_id, provider, workspace_id, actor_id, data,
                        created_at, extract(epoch from now() - created_at)::float8,
                        delivery_attempts"
            ),
            &[(&limit, Type::INT8), (&seconds, Type::FLOAT8)],
        )
        .await?;
    let mut due: Vec<Due> = rows
        .iter()
        .map(|row| Due {
            id: row.get(0),
            kind: row.get(1),
            connection_id: row.get(2),
            provider: row.get(3),
            workspace: row.get(4),
            actor: row.get(5),
            data: row.get(6),
            created_at: row.get(7),
            age: row.get(8),
            attempts: row.get(9),
        })
        .collect();
    due.sort_by_key(|event| (event.created_at, event.id));
    Ok(due)
}

/// How an attempt ended.
pub enum Outcome {
    /// The endpoint has it.
    Delivered,
    /// Not before so many seconds.
    Again {
        /// A short code.
        error: String,
        /// Seconds from now.
        wait: f64,
    },
    /// Never again.
    GivenUp {
        /// A short code.
        error: String,
    },
}

/// Records how attempts ended, all in one statement. What somebody else has delivered
/// meanwhile stays delivered.
pub async fn record(store: &Store, outcomes: &[(Uuid, Outcome)]) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = outcomes.iter().map(|(id, _)| *id).collect();
    let (mut errors, mut waits, mut given_up) = (Vec::new(), Vec::new(), Vec::new());
    for (_, outcome) in outcomes {
        let (error, wait, over) = match outcome {
            Outcome::Delivered => (None, 0.0, false),
            Outcome::Again { error, wait } => (Some(error.as_str()), *wait, false),
            Outcome::GivenUp { error } => (Some(error.as_str()), 0.0, true),
        };
        errors.push(error);
        waits.push(wait);
        given_up.push(over);
    }
    store
        .write(
            "update connection_events event
                set delivered_at = case when error is null then now() end,
                    delivery_error = error,
                    deliver_at = now() + make_interval(secs => wait),
                    delivery_given_up = given_up
               from unnest($1::uuid[], $2::text[], $3::float8[], $4::bool[])
                        as ended (id, error, wait, given_up)
              where event.id = ended.id and event.delivered_at is null",
            &[
                (&ids, Type::UUID_ARRAY),
                (&errors, Type::TEXT_ARRAY),
                (&waits, Type::FLOAT8_ARRAY),
                (&given_up, Type::BOOL_ARRAY),
            ],
        )
        .await
        .map(drop)
}

/// How deliveries stand.
pub struct Standing {
    /// Events that wait, the failed ones included.
    pub waiting: i64,
    /// When the oldest of them was written.
    pub oldest: Option<DateTime<Utc>>,
    /// Events of the last 30 days that were tried and never taken.
    pub given_up: i64,
}

/// How deliveries stand, over all workspaces.
pub async fn standing(store: &Store) -> Result<Standing, StoreError> {
    let rows = store
        .read(
            &format!(
                "select (select count(*) from connection_events where {WAITING}),
                        (select min(created_at) from connection_events where {WAITING}),
                        (select count(*) from connection_events
                          where created_at > now() - interval '30 days'
                            and delivered_at is null and delivery_attempts > 0
                            and (delivery_given_up
                                 or created_at <= now() - interval '3 days'))"
            ),
            &[],
        )
        .await?;
    let row = rows.first();
    Ok(Standing {
        waiting: row.map_or(0, |row| row.get(0)),
        oldest: row.and_then(|row| row.get(1)),
        given_up: row.map_or(0, |row| row.get(2)),
    })
}
