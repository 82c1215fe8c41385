//! The tables are made sure of right before the first write that misses them, from
//! any number of instances at once: one batch that takes a transaction-level lock,
//! then applies what is missing. A session-level lock would not survive a pooler.

use chrono::{DateTime, Utc};
use tokio_postgres::error::SqlState;

use super::{Store, StoreError, TIMEOUT};

/// One file of `migrations/`.
pub struct Migration {
    /// Its file name.
    pub name: &'static str,
    /// Its position, from 1.
    pub version: i32,
    /// Its text.
    pub sql: &'static str,
}

/// Every migration, oldest first. Applied ones never change: an older binary has to
/// keep working on a newer schema, so columns are added, and dropped releases later.
pub const MIGRATIONS: &[Migration] = &[
    migration(1, "V1__oauth_tokens.sql", V1),
    migration(2, "V2__operations.sql", V2),
    migration(3, "V3__gmail.sql", V3),
    migration(4, "V4__users.sql", V4),
];

const V1: &str = include_str!("../../../../migrations/V1__oauth_tokens.sql");
const V2: &str = include_str!("../../../../migrations/V2__operations.sql");
const V3: &str = include_str!("../../../../migrations/V3__gmail.sql");
const V4: &str = include_str!("../../../../migrations/V4__users.sql");

const fn migration(version: i32, name: &'static str, sql: &'static str) -> Migration {
    Migration { name, version, sql }
}

/// Transaction-level advisory lock of everybody who creates tables: "grantkee" in ASCII.
const LOCK: i64 = 0x6772_616e_746b_6565;
/// Raised by the batch when an applied migration's text has changed since.
const CHANGED: &str = "GK001";

/// Raised where tables are not as they were a moment ago.
pub(super) const MEANWHILE: &str = "GK002";

/// Creates what is missing; one round trip.
pub async fn ensure(store: &Store) -> Result<(), StoreError> {
    ensure_after(store, "").await
}

/// Runs `first`, then creates what is missing: all in one transaction, alone.
pub(super) async fn ensure_after(store: &Store, first: &str) -> Result<(), StoreError> {
    let connection = store
        .connection()
        .await
        .map_err(super::Failure::into_error)?;
    let batch = batch(first);
    match tokio::time::timeout(TIMEOUT * 4, connection.batch_execute(&batch)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(explain(&error)),
        Err(_) => {
            drop(deadpool_postgres::Object::take(connection));
            Err(StoreError::Unavailable(
                "the tables were not created in time".to_owned(),
            ))
        }
    }
}

/// A migration, as the database knows it.
#[derive(Clone, Debug)]
pub struct State {
    /// Its position, from 1.
    pub version: i32,
    /// Its file name.
    pub name: String,
    /// When it was applied, if it was.
    pub applied_at: Option<DateTime<Utc>>,
    /// Its text is another one than was applied.
    pub changed: bool,
    /// This release has it; others are of a newer one.
    pub known: bool,
}

/// Every migration that this release or the database knows of; changes nothing.
pub async fn state(store: &Store) -> Result<Vec<State>, StoreError> {
    let rows = store
        .read(
            "select version, name, checksum, applied_at from grantkeep_migrations
              order by version",
            &[],
        )
        .await?;
    let mut states: Vec<State> = MIGRATIONS
        .iter()
        .map(|migration| {
            let row = rows
                .iter()
                .find(|row| row.get::<_, i32>(0) == migration.version);
            State {
                version: migration.version,
                name: migration.name.to_owned(),
                applied_at: row.map(|row| row.get(3)),
                changed: row.is_some_and(|row| row.get::<_, &str>(2) != checksum(migration.sql)),
                known: true,
            }
        })
        .collect();
    let newer = rows.iter().filter(|row| {
        let version: i32 = row.get(0);
        MIGRATIONS.iter().all(|own| own.version != version)
    });
    states.extend(newer.map(|row| State {
        version: row.get(0),
        name: row.get(1),
        applied_at: Some(row.get(3)),
        changed: false,
        known: false,
    }));
    Ok(states)
}

fn batch(first: &str) -> String {
    let mut batch = format!(
        "select pg_advisory_xact_lock({LOCK});
         create table if not exists grantkeep_migrations (
             version    integer     primary key,
             name       text        not null,
             checksum   text        not null,
             applied_at timestamptz not null default now());
         {first}"
    );
    for migration in MIGRATIONS {
        let Migration { name, version, sql } = migration;
        let checksum = checksum(sql);
        batch.push_str(&format!(
            "do $apply$
             declare applied text;
             begin
                 select checksum into applied from grantkeep_migrations where version = {version};
                 if applied is null then
                     execute $migration${sql}$migration$;
                     insert into grantkeep_migrations (version, name, checksum)
                     values ({version}, '{name}', '{checksum}');
                 elsif applied <> '{checksum}' then
                     raise exception '{name}' using errcode = '{CHANGED}';
                 end if;
             end $apply$;"
        ));
    }
    batch
}

/// The tables that a migration creates.
pub(super) fn tables_of(sql: &str) -> impl Iterator<Item = String> {
    sql.lines()
        .filter_map(|line| line.strip_prefix("create table "))
        .filter_map(|rest| rest.split([' ', '(']).next())
        .map(str::to_owned)
}

fn checksum(sql: &str) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    digest(&SHA256, sql.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn explain(error: &tokio_postgres::Error) -> StoreError {
    let Some(failure) = error.as_db_error() else {
        return super::Failure::of(error).into_error();
    };
    match failure.code() {
        &SqlState::INSUFFICIENT_PRIVILEGE => StoreError::Schema(
            "DATABASE_URL: its role may not create tables and they are not there yet; \
             let a function write once with a role that may, then take that right away"
                .to_owned(),
        ),
        &SqlState::DUPLICATE_TABLE => StoreError::Schema(
            "DATABASE_URL: this database already has a table of another application under a name \
             that is needed here, such as oauth_tokens: `grantkeep import-table` imports it and moves \
             it aside; or use another database or schema"
                .to_owned(),
        ),
        code if code.code() == CHANGED => StoreError::Schema(format!(
            "migration {} was changed after it was applied; restore the file and add a new one",
            failure.message()
        )),
        code if code.code() == MEANWHILE => StoreError::Schema(
            "the tables were changed by somebody else at the same moment: run it again".to_owned(),
        ),
        code => StoreError::Refused(code.code().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_from_one_without_a_gap_and_named_so() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            let version = index as i32 + 1;
            assert_eq!(migration.version, version);
            assert!(
                migration.name.starts_with(&format!("V{version}__")),
                "{}",
                migration.name
            );
            assert!(!migration.sql.contains("$migration$"), "{}", migration.name);
        }
    }
}
