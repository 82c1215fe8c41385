//! `cron_runs`: when each scheduled job last came to its end.

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;

use super::{Store, StoreError};

/// Records that a job has come to its end.
pub async fn record(store: &Store, job: &str) -> Result<(), StoreError> {
    store
        .write(
            "insert into cron_runs (job, ended_at) values ($1, now())
             on conflict (job) do update set ended_at = excluded.ended_at",
            &[(&job, Type::TEXT)],
        )
        .await
        .map(drop)
}

/// Every job that ever came to its end, and when it last did.
pub async fn list(store: &Store) -> Result<Vec<(String, DateTime<Utc>)>, StoreError> {
    let rows = store
        .read("select job, ended_at from cron_runs order by job", &[])
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
