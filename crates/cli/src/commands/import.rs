//! `grantkeep import`: connections from files of other systems, and from backups.

mod file;
mod report;
mod restore;

use std::path::PathBuf;

use clap::Args;
use grantkeep_core::App;
use grantkeep_core::connection::{InvalidName, name};
use tokio::task::JoinSet;

use crate::backup_key::BackupKey;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::Output;
use crate::progress::Progress;
use crate::settings;
use report::{Report, Reports};

/// Import credentials that other systems stored, or a backup of `grantkeep export`
///
/// Forms are recognised by content: google-auth, gcloud, oauth2client, the quickstarts of
/// Google for Python, Node, Go, .NET and Ruby, Auth.js, better-auth, oauthlib, stored token
/// answers, and rows of token tables as JSON. Each file is refreshed once to see whether it
/// works, and imported whole or not at all. A file that was imported before changes nothing.
#[derive(Args)]
pub struct Import {
    /// Files, directories, or - for stdin
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Whose credentials they are; without it as the file says, else the one provider whose
    /// client and scopes fit
    #[arg(long)]
    provider: Option<String>,
    /// Without it as the file says, else `default`
    #[arg(long)]
    workspace: Option<String>,
    /// Without it as the file says, else `default`
    #[arg(long)]
    actor: Option<String>,
    /// What to call the account; without it the provider is asked
    #[arg(long)]
    account: Option<String>,
    /// Only tell what would be imported; neither provider nor database is changed
    #[arg(long)]
    dry_run: bool,
    /// Do not ask the provider; the first token read will
    #[arg(long)]
    no_verify: bool,
    /// Put it in the place of a connection that works
    #[arg(long, visible_alias = "force")]
    replace: bool,
    /// Import what the provider no longer honours too, as reauthorization_required
    #[arg(long, visible_alias = "keep")]
    keep_dead: bool,
    #[command(flatten)]
    key: BackupKey,
}

/// So many providers' answers are waited for at once.
const AT_ONCE: usize = 8;

/// Imports every file and tells what became of each.
pub async fn run(command: Import, output: &Output) -> Result<Exit, Failure> {
    for (field, value) in [
        ("workspace", &command.workspace),
        ("actor", &command.actor),
        ("account", &command.account),
    ] {
        if let Some(value) = value {
            name(field, value).map_err(|InvalidName(_)| {
                Failure::usage(format!(
                    "--{field} must have 1 to 255 bytes and no control characters"
                ))
            })?;
        }
    }
    let app = settings::app().await?;
    let key = command.key.read()?;
    let files = files::below(&command.paths)?;
    let (backups, files): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|path| restore::is_backup(path));
    let mut reports = Reports::default();
    for path in &backups {
        let restored = restore::restore(&app, key.as_ref(), path, command.dry_run, output).await;
        reports.add(restored.unwrap_or_else(|failure| vec![Report::failed(path, failure)]));
    }
    import(app, command, files, output, &mut reports).await;
    reports.print(output)
}

async fn import(
    app: App,
    command: Import,
    files: Vec<PathBuf>,
    output: &Output,
    reports: &mut Reports,
) {
    let progress =
        (files.len() > 1).then(|| Progress::new(output, Some(files.len() as u64), "importing"));
    let command = std::sync::Arc::new(command);
    let mut working = JoinSet::new();
    let mut files = files.into_iter();
    loop {
        while working.len() < AT_ONCE {
            let Some(path) = files.next() else { break };
            let (app, command) = (app.clone(), command.clone());
            working.spawn(async move { file::import(&app, &command, &path).await });
        }
        let Some(ended) = working.join_next().await else {
            break;
        };
        // Nobody aborts them, and a panic has been printed.
        reports.add(ended.unwrap_or_default());
        if let Some(progress) = &progress {
            progress.advance(1);
        }
    }
}
