//! `grantkeep rotate-keys`: everything under the primary key, so that the older ones can go.

use std::collections::BTreeMap;

use clap::Args;
use grantkeep_core::App;
use grantkeep_core::cipher::OpenError;
use grantkeep_core::connection::ConnectionId;
use grantkeep_core::rotate::{self, Batch};
use grantkeep_core::store::StoreError;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::confirm::Confirmation;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::settings;

/// Seal everything under OAUTH_ENCRYPTION_KEY that is still under an older key
///
/// Before: every function has to be deployed with the new key as OAUTH_ENCRYPTION_KEY and the
/// old one in OAUTH_ENCRYPTION_KEYS_RETIRED. Reads and refreshes go on meanwhile. It can be
/// stopped at any moment and run again.
#[derive(Args)]
pub struct RotateKeys {
    /// Open everything and write nothing
    #[arg(long)]
    dry_run: bool,
    /// How many connections are sealed with one statement
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(i64).range(1..=5000))]
    batch_size: i64,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Another pass looks at what was changed during the one before; a function that keeps sealing
/// under an old key would make it endless.
const PASSES: usize = 5;
/// So many connections that do not open are named.
const NAMED: usize = 20;

#[derive(Default)]
struct Total {
    resealed: usize,
    unreadable: BTreeMap<Uuid, OpenError>,
}

impl Total {
    fn add(&mut self, batch: &Batch) {
        self.resealed += batch.resealed;
        let unreadable = batch.unreadable.iter();
        self.unreadable
            .extend(unreadable.map(|(ConnectionId(id), error)| (*id, *error)));
    }
}

/// Rotates, and tells whether the older keys can go.
pub async fn run(command: &RotateKeys, output: &Output) -> Result<Exit, Failure> {
    let app = settings::app().await?;
    let primary = app.settings.keys.primary_id().to_string();
    let before = rotate::used_keys(&app).await?;
    let aged: i64 = others(&before, &primary).map(|(_, count)| count).sum();
    let under_primary = before.contains_key(&primary);
    if aged > 0 && !under_primary && !command.dry_run {
        command.confirmation.ask(&format!(
            "No function has sealed anything under key {primary} so far. One that does not know it \
             could read nothing any more: is it deployed everywhere?"
        ))?;
    }
    let mut total = Total::default();
    {
        let steps = u64::try_from(aged).unwrap_or_default();
        let progress = Progress::new(output, Some(steps), "sealing");
        for _ in 0..PASSES {
            let overtaken = pass(&app, command, &mut total, &progress).await?;
            if overtaken == 0 || command.dry_run {
                break;
            }
        }
    }
    let after = rotate::used_keys(&app).await?;
    report(&app, command, &total, &after, output)
}

/// One walk over the table; how many token sets somebody changed meanwhile.
async fn pass(
    app: &App,
    command: &RotateKeys,
    total: &mut Total,
    progress: &Progress,
) -> Result<usize, StoreError> {
    let mut overtaken = 0;
    let mut after = Some(Uuid::nil());
    while let Some(from) = after {
        let batch = rotate::connections(app, from, command.batch_size, command.dry_run).await?;
        total.add(&batch);
        overtaken += batch.overtaken;
        progress.advance(batch.seen as u64);
        after = batch.next;
    }
    let mut after = Some(Uuid::nil());
    while let Some(from) = after {
        let batch = rotate::revocations(app, from, command.batch_size, command.dry_run).await?;
        total.add(&batch);
        progress.advance(batch.seen as u64);
        after = batch.next;
    }
    Ok(overtaken)
}

fn others<'a>(
    counts: &'a BTreeMap<String, i64>,
    primary: &'a str,
) -> impl Iterator<Item = (&'a str, i64)> {
    counts
        .iter()
        .filter(move |(key, _)| *key != primary)
        .map(|(key, count)| (key.as_str(), *count))
}

fn report(
    app: &App,
    command: &RotateKeys,
    total: &Total,
    after: &BTreeMap<String, i64>,
    output: &Output,
) -> Result<Exit, Failure> {
    let ids = app.settings.keys.ids();
    let (primary, retired) = ids.split_first().expect("a ring has a primary key");
    let primary = primary.to_string();
    let retired: Vec<(String, i64)> = retired
        .iter()
        .map(ToString::to_string)
        .map(|id| (id.clone(), after.get(&id).copied().unwrap_or_default()))
        .collect();
    let remaining: i64 = others(after, &primary).map(|(_, count)| count).sum();

    let value = json!({
        "primary_key_id": primary,
        "dry_run": command.dry_run,
        "resealed": total.resealed,
        "remaining": others(after, &primary).collect::<BTreeMap<_, _>>(),
        "retired_keys": retired
            .iter()
            .map(|(id, count)| json!({"key_id": id, "in_use": count, "can_go": *count == 0}))
            .collect::<Vec<Value>>(),
        "unreadable": total
            .unreadable
            .iter()
            .map(|(id, error)| json!({"id": id.to_string(), "detail": error.to_string()}))
            .collect::<Vec<Value>>(),
    });
    output.result(&value, &text(command, total, &retired, remaining, &primary));
    let left = remaining > 0 && !command.dry_run;
    Ok(match left || !total.unreadable.is_empty() {
        true => Exit::Failure,
        false => Exit::Success,
    })
}

fn text(
    command: &RotateKeys,
    total: &Total,
    retired: &[(String, i64)],
    remaining: i64,
    primary: &str,
) -> String {
    let mut lines = vec![match command.dry_run {
        true => format!("{} would be sealed under key {primary}.", total.resealed),
        false => format!("{} sealed under key {primary}.", total.resealed),
    }];
    for (id, error) in total.unreadable.iter().take(NAMED) {
        lines.push(format!("{id}: {error}"));
    }
    if total.unreadable.len() > NAMED {
        lines.push(format!("… {} do not open.", total.unreadable.len()));
    }
    for (id, count) in retired {
        lines.push(match count {
            0 => format!(
                "Key {id} can go from OAUTH_ENCRYPTION_KEYS_RETIRED, 10 minutes after the last \
                 function that sealed under it: sign-ins and connect links under way are sealed too."
            ),
            count => format!("Key {id} is needed: {count} are sealed under it."),
        });
    }
    if remaining > 0 && !command.dry_run && total.unreadable.is_empty() {
        lines.push(
            "Something still seals under an older key: deploy the new OAUTH_ENCRYPTION_KEY to \
             every function, then run this again."
                .to_owned(),
        );
    }
    lines.join("\n")
}
