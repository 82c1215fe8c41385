//! `grantkeep migrate`: the tables, made or brought up to date before anything needs them.

use clap::Args;
use grantkeep_core::store::schema::{self, State};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{Output, Table};
use crate::settings;
use crate::time::rfc3339;

/// Create the tables or bring them up to date
///
/// The functions do this by themselves at the first write that misses a table. Run it where
/// their role may not create tables, with a DATABASE_URL of a role that may. Running it again
/// changes nothing.
#[derive(Args)]
pub struct Migrate {
    /// Only show what is applied and what is not
    #[arg(long)]
    plan: bool,
}

/// Applies what is missing and shows every migration.
pub async fn run(command: &Migrate, output: &Output) -> Result<Exit, Failure> {
    let store = settings::store()?;
    let before = schema::state(&store).await?;
    let pending = before.iter().filter(|one| one.applied_at.is_none()).count();
    let now = match command.plan {
        true => before,
        false => {
            schema::ensure(&store).await?;
            schema::state(&store).await?
        }
    };
    let changed = now.iter().any(|one| one.changed);
    match output.is_json() {
        true => output.line(&report(command, &now, pending).to_string()),
        false => show(output, command, &now, pending),
    }
    Ok(match changed {
        true => Exit::Failure,
        false => Exit::Success,
    })
}

fn report(command: &Migrate, now: &[State], pending: usize) -> Value {
    let migrations: Vec<Value> = now
        .iter()
        .map(|one| {
            json!({
                "version": one.version,
                "name": one.name,
                "state": word(one),
                "applied_at": one.applied_at.map(rfc3339),
            })
        })
        .collect();
    let applied = if command.plan { 0 } else { pending };
    json!({"applied_now": applied, "migrations": migrations})
}

fn show(output: &Output, command: &Migrate, now: &[State], pending: usize) {
    let rows: Vec<[String; 3]> = now
        .iter()
        .map(|one| {
            [
                one.name.clone(),
                word(one).to_owned(),
                one.applied_at.map(rfc3339).unwrap_or_default(),
            ]
        })
        .collect();
    Table::new(["MIGRATION", "STATE", "APPLIED"]).page(output, &rows);
    output.note(&match (command.plan, pending) {
        (_, 0) => "The tables are up to date.".to_owned(),
        (true, pending) => format!("{pending} to apply: run `grantkeep migrate`."),
        (false, pending) => format!("{pending} applied."),
    });
}

fn word(one: &State) -> &'static str {
    match (one.applied_at, one.changed, one.known) {
        (None, ..) => "pending",
        (_, true, _) => "changed since",
        // A newer release has been here; this one works on its tables.
        (_, _, false) => "of a newer release",
        _ => "applied",
    }
}
