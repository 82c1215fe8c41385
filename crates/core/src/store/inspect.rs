//! What a database is like, for who looks for what could be wrong with it. Changes nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::Object;

use super::{Failure, Store, StoreError};

/// What the server says of itself.
#[derive(Clone, Debug)]
pub struct Server {
    /// Such as `16.4`.
    pub version: String,
    /// Such as `160004`.
    pub version_number: i32,
    /// Its time.
    pub now: DateTime<Utc>,
    /// Whether our role may create tables where they would be created.
    pub may_create: bool,
    /// It takes no writes: a replica, or read-only by its settings.
    pub read_only: bool,
}

/// Asks the server.
pub async fn server(store: &Store) -> Result<Server, StoreError> {
    let rows = store
        .read(
            "select current_setting('server_version'), current_setting('server_version_num')::int4,
                    now(),
                    coalesce(has_schema_privilege(current_schema(), 'create'), false),
                    pg_is_in_recovery() or current_setting('transaction_read_only') = 'on'",
            &[],
        )
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::Unavailable("the server said nothing".to_owned()))?;
    Ok(Server {
        version: row.get(0),
        version_number: row.get(1),
        now: row.get(2),
        may_create: row.get(3),
        read_only: row.get(4),
    })
}

/// How long a second connection may hold up the first one's next statement.
const HELD: Duration = Duration::from_secs(2);
/// A pooler may happen to give the same process again.
const ROUNDS: usize = 5;

/// Whether a pooler gives each transaction another server process. While a second
/// connection holds a transaction open, the first one's process can only change, or be the
/// second one's, if it was not its own.
pub async fn has_transaction_pooler(store: &Store) -> Result<bool, StoreError> {
    let first = store.connection().await.map_err(Failure::into_error)?;
    let second = store.connection().await.map_err(Failure::into_error)?;
    for _ in 0..ROUNDS {
        let before = process(&first).await?;
        execute(&second, "begin").await?;
        let held = process(&second).await?;
        let during = tokio::time::timeout(HELD, process(&first)).await;
        execute(&second, "rollback").await?;
        match during {
            Ok(during) if held == before || during.as_ref().is_ok_and(|now| *now != before) => {
                return Ok(true);
            }
            Ok(during) => drop(during?),
            Err(_) => {
                // It waits for a server process: there are fewer than connections.
                drop(deadpool_postgres::Object::take(first));
                return Ok(true);
            }
        }
    }
    Ok(false)
}

async fn process(connection: &Object) -> Result<i32, StoreError> {
    let rows = connection.query_typed("select pg_backend_pid()", &[]).await;
    let rows = rows.map_err(|error| Failure::of(&error).into_error())?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

async fn execute(connection: &Object, sql: &str) -> Result<(), StoreError> {
    let done = connection.batch_execute(sql).await;
    done.map_err(|error| Failure::of(&error).into_error())
}

/// Deaths of grants of one provider.
#[derive(Clone, Debug)]
pub struct Deaths {
    /// The provider.
    pub provider: String,
    /// Within the last 60 days.
    pub all: i64,
    /// Of these, about a week after consent.
    pub after_a_week: i64,
    /// Live connections whose refresh token was given for about a week.
    pub given_a_week: i64,
}

/// Where grants die a week after consent, as those of applications in testing do.
pub async fn deaths(store: &Store) -> Result<Vec<Deaths>, StoreError> {
    let rows = store
        .read(
            "with deaths as (
                 select death.provider,
                        death.created_at - (
                            select max(consent.created_at) from connection_events consent
                             where consent.connection_id = death.connection_id
                               and consent.created_at < death.created_at
                               and consent.type in ('connection.connected', 'connection.renewed',
                                                    'connection.recovered')) as age
                   from connection_events death
                  where death.type = 'connection.reauthorization_required'
                    and death.created_at > now() - interval '60 days'),
             dead as (
                 select provider, count(*) as all,
                        count(*) filter (where age between interval '6 days 20 hours'
                                                       and interval '8 days') as after_a_week
                   from deaths group by provider),
             live as (
                 select provider, count(*) as given_a_week from oauth_tokens
                  where refresh_expires_at - greatest(status_since, last_refreshed_at)
                        between interval '6 days 20 hours' and interval '7 days 4 hours'
                  group by provider)
             select coalesce(dead.provider, live.provider), coalesce(dead.all, 0),
                    coalesce(after_a_week, 0), coalesce(given_a_week, 0)
               from dead full join live using (provider) order by 1",
            &[],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| Deaths {
            provider: row.get(0),
            all: row.get(1),
            after_a_week: row.get(2),
            given_a_week: row.get(3),
        })
        .collect())
}
