//! `grantkeep import-table`: the token table of an earlier system, whole, in place.

mod outcome;

use std::path::PathBuf;

use clap::Args;
use grantkeep_core::App;
use grantkeep_core::import::table::{Plan, TableImport};
use grantkeep_core::store::earlier_tables::adoption::{self, Adopted, InTheWay, Move};
use grantkeep_core::store::earlier_tables::{self, EarlierTable, ledger};
use grantkeep_core::store::{DatabaseUrl, Store, schema};
use serde_json::json;

use crate::confirm::Confirmation;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::settings;
use outcome::Outcome;

/// Import the token table of an earlier system
///
/// Tables of these shapes are read: a column with token sets as JSON; Fernet columns
/// access_token_encrypted and refresh_token_encrypted; user_id, refresh_token and token_scope,
/// joined to users; accounts of Auth.js and better-auth. A table that has a name that is needed
/// here is moved aside in the transaction that creates the new ones, and --undo moves it back.
/// Nothing is dropped. Run it again to go on after an interruption: each row is imported once.
#[derive(Args)]
pub struct ImportTable {
    /// The table, with its schema where it is in another
    #[arg(default_value = "oauth_tokens")]
    table: String,
    /// Where users' addresses are, for rows with a user_id
    #[arg(long, default_value = "users")]
    users: String,
    /// Import every row for this provider
    #[arg(long)]
    provider: Option<String>,
    /// What a provider of the table is called here, such as google=gmail; may be repeated
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    map_provider: Vec<(String, String)>,
    /// Import every row into this workspace
    #[arg(long)]
    workspace: Option<String>,
    /// Import every row for this actor
    #[arg(long)]
    actor: Option<String>,
    /// The table is in another database: the environment variable that holds its address
    #[arg(long, value_name = "VARIABLE")]
    from_env: Option<String>,
    /// Rows for one statement
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    batch: i64,
    /// Read every row and tell what would become of it; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Write every row that was not imported, with the reason, into this new file as JSON lines
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Move the tables back to where they were; connections stay, set aside
    #[arg(long, conflicts_with_all = ["dry_run", "report", "from_env", "provider"])]
    undo: bool,
    /// Undo even if there are connections that the earlier tables know nothing of
    #[arg(long, requires = "undo")]
    force: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => {
            Ok((old.to_owned(), new.to_owned()))
        }
        _ => Err("must be OLD=NEW, such as google=gmail".to_owned()),
    }
}

/// Imports, or undoes it.
pub async fn run(command: &ImportTable, output: &Output) -> Result<Exit, Failure> {
    if command.undo {
        return undo(command, output).await;
    }
    let app = settings::app().await?;
    let other = command.from_env.as_deref().map(other).transpose()?;
    let from = other.as_ref().unwrap_or(&app.store);
    let adopted = adoption::adopted(&app.store).await?;
    let found = adoption::in_the_way(&app.store).await?;

    let (table, source) = find(command, from, &adopted).await?;
    let table = earlier_tables::with_users(from, table, &users(command, &adopted)).await?;
    let total = earlier_tables::count(from, &table).await?;
    let mut outcome = Outcome::new(command.report.as_deref(), command.dry_run)?;
    outcome.moved(&found.moves);
    let table = match command.dry_run {
        true => table,
        false => {
            make_room(command, &app.store, &adopted, &found).await?;
            ledger::create(&app.store).await?;
            // It may have another name by now.
            let adopted = adoption::adopted(&app.store).await?;
            let (table, _) = find(command, from, &adopted).await?;
            earlier_tables::with_users(from, table, &users(command, &adopted)).await?
        }
    };
    let plan = Plan {
        provider: command.provider.clone(),
        renamed: command.map_provider.iter().cloned().collect(),
        workspace: command.workspace.clone(),
        actor: command.actor.clone(),
        batch: command.batch,
        dry_run: command.dry_run,
    };
    import(
        &app,
        from,
        &table,
        &source,
        &plan,
        total,
        &mut outcome,
        output,
    )
    .await?;
    outcome.print(output)
}

/// Moves what is in the way aside and makes our tables.
async fn make_room(
    command: &ImportTable,
    store: &Store,
    adopted: &[Adopted],
    found: &InTheWay,
) -> Result<(), Failure> {
    let nothing = |adopted: &[Adopted], found: &InTheWay| {
        found.moves.is_empty() && !adopted.iter().any(Adopted::is_undone)
    };
    if nothing(adopted, found) {
        return Ok(schema::ensure(store).await?);
    }
    ask(command, &found.moves)?;
    let Err(error) = adoption::adopt(store, found).await else {
        return Ok(());
    };
    // An earlier run that was killed may have been at it, and its server process ended it.
    let (adopted, found) = (
        adoption::adopted(store).await?,
        adoption::in_the_way(store).await?,
    );
    match nothing(&adopted, &found) {
        true => Ok(()),
        false => Err(error.into()),
    }
}

#[allow(clippy::too_many_arguments, reason = "one caller, which has them all")]
async fn import(
    app: &App,
    from: &Store,
    table: &EarlierTable,
    source: &str,
    plan: &Plan,
    total: u64,
    outcome: &mut Outcome,
    output: &Output,
) -> Result<(), Failure> {
    let progress = Progress::new(output, Some(total), "importing");
    let mut import = TableImport::new(app, from, table, source, plan);
    while let Some(batch) = import.next().await? {
        progress.advance(batch.imported + batch.before + batch.skipped.len() as u64);
        outcome.add(batch)?;
    }
    Ok(())
}

fn other(variable: &str) -> Result<Store, Failure> {
    let url = std::env::var(variable)
        .map_err(|_| Failure::settings(format!("{variable} is not set (--from-env)")))?;
    DatabaseUrl::parse(&url, None)
        .and_then(|url| Store::new(&url))
        .map_err(|error| Failure::settings(format!("{variable} {error}")))
}

/// The table under the name that it has now, and the name that the ledger knows it by.
async fn find(
    command: &ImportTable,
    from: &Store,
    adopted: &[Adopted],
) -> Result<(EarlierTable, String), Failure> {
    let named = adopted
        .iter()
        .filter(|_| command.from_env.is_none())
        .map(|one| &one.theirs)
        .find(|theirs| names(theirs, &command.table));
    let aside = named.map(|theirs| format!("\"{}\".\"{}\"", theirs.schema, theirs.to));
    let mut found = None;
    for name in aside.iter().chain([&command.table]) {
        if found.is_none() {
            found = earlier_tables::find(from, name).await?;
        }
    }
    let table = found
        .ok_or_else(|| Failure::new("not_found", format!("there is no table {}", command.table)))?;
    if table.is_ours() {
        return Err(Failure::new(
            "not_found",
            format!(
                "{} is the table of this project already: there is nothing to import",
                command.table
            ),
        ));
    }
    if !table.has_key() {
        return Err(Failure::new(
            "unreadable",
            format!(
                "{} has no primary key and no unique index on columns that are not null, so its \
                 rows cannot be told apart: add one",
                command.table
            ),
        ));
    }
    let name = named.map_or(&table.name, |theirs| &theirs.from);
    let place = command.from_env.as_deref().unwrap_or("DATABASE_URL");
    let source = format!("{place}:{}.{name}", table.schema);
    Ok((table, source))
}

fn names(theirs: &Move, name: &str) -> bool {
    theirs.from == name || format!("{}.{}", theirs.schema, theirs.from) == name
}

fn users(command: &ImportTable, adopted: &[Adopted]) -> String {
    adopted
        .iter()
        .filter(|one| !one.is_undone() && command.from_env.is_none())
        .map(|one| &one.theirs)
        .find(|theirs| names(theirs, &command.users))
        .map_or_else(
            || command.users.clone(),
            |theirs| format!("\"{}\".\"{}\"", theirs.schema, theirs.to),
        )
}

fn ask(command: &ImportTable, moves: &[Move]) -> Result<(), Failure> {
    let list: Vec<String> = moves
        .iter()
        .map(|one| format!("{} becomes {}", one.from, one.to))
        .collect();
    let what = match list.is_empty() {
        true => "The tables are moved aside again, as before the undo.".to_owned(),
        false => format!("These tables are renamed: {}.", list.join(", ")),
    };
    command.confirmation.ask(&format!(
        "{what} What still uses them by their old names stops working until --undo."
    ))
}

async fn undo(command: &ImportTable, output: &Output) -> Result<Exit, Failure> {
    let store = settings::store()?;
    let adopted = adoption::adopted(&store).await?;
    if adopted.iter().all(Adopted::is_undone) {
        return Err(Failure::new("not_found", "nothing was moved aside"));
    }
    let (other, changed) = ledger::newer(&store).await?;
    if other > 0 && !command.force {
        return Err(Failure::new(
            "refused",
            format!(
                "{other} connections were made since, and the earlier tables know nothing of \
                 them: say --force to set them aside with the others"
            ),
        ));
    }
    command.confirmation.ask(
        "The earlier tables get their names back, and this project's are set aside: its functions \
         stop working until the next import-table.",
    )?;
    let back = adoption::undo(&store).await?;
    let names: Vec<&str> = back.iter().map(|one| one.from.as_str()).collect();
    let mut text = format!("Back under their names: {}.", names.join(", "));
    if changed > 0 {
        text.push_str(&format!(
            "\n{changed} connections were refreshed or renewed since: where a provider replaces \
             refresh tokens, those of the earlier tables are used up."
        ));
    }
    output.result(
        &json!({"restored": names, "set_aside": other + changed, "refreshed_since": changed}),
        &text,
    );
    Ok(Exit::Success)
}
