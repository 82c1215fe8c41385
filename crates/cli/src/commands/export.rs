//! `grantkeep export`: a sealed backup, or credentials that other libraries read.

mod reveal;

use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use grantkeep_core::App;
use grantkeep_core::backup;
use grantkeep_core::cipher::KeyRing;
use grantkeep_core::store::oauth_tokens::backup::page;
use serde_json::json;
use uuid::Uuid;

use crate::backup_key::BackupKey;
use crate::confirm::Confirmation;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::Output;
use crate::progress::Progress;
use crate::select::Only;
use crate::settings;

/// So many rows are read at once.
const PAGE: i64 = 500;

/// Export one connection or all, sealed as a backup or revealed
///
/// A backup is restored by `grantkeep import FILE`, into any database and under any
/// OAUTH_ENCRYPTION_KEY: ids, scopes, times and statuses are as before. What waits for a
/// confirmation is left out.
#[derive(Args)]
pub struct Export {
    /// Only the connection of this id
    id: Option<Uuid>,
    #[command(flatten)]
    only: Only,
    /// A new file, readable for you alone; for several revealed ones a directory. Without it
    /// stdout
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Write tokens and client secret in the clear, as google-auth's authorized_user JSON
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    key: BackupKey,
}

/// Exports, and says what could not be.
pub async fn run(command: &Export, output: &Output) -> Result<Exit, Failure> {
    let app = settings::app().await?;
    if command.reveal {
        return reveal::reveal(&app, command, output).await;
    }
    let own = command.key.read()?;
    let keys = own.as_ref().unwrap_or(&app.settings.keys);
    match &command.output {
        Some(path) => {
            let file = files::create_private(path)?;
            let written = write(&app, command, keys, BufWriter::new(file), output).await;
            // Half a backup would be taken for one.
            if written.is_err() {
                drop(std::fs::remove_file(path));
            }
            let written = written?;
            written.tell(path, keys, output);
            Ok(written.exit())
        }
        None if std::io::stdout().is_terminal() => Err(Failure::usage(
            "a backup is no text to look at: name a file with --output",
        )),
        None => {
            let stdout = BufWriter::new(std::io::stdout());
            let written = write(&app, command, keys, stdout, output).await?;
            Ok(written.exit())
        }
    }
}

/// What went into a backup.
struct Written {
    connections: u64,
    failed: u64,
}

impl Written {
    fn exit(&self) -> Exit {
        match self.failed {
            0 => Exit::Success,
            _ => Exit::Failure,
        }
    }

    fn tell(&self, path: &Path, keys: &KeyRing, output: &Output) {
        let key = keys.primary_id();
        let Self {
            connections,
            failed,
        } = self;
        output.result(
            &json!({"file": path.display().to_string(), "key_id": key.to_string(),
                    "connections": connections, "failed": failed}),
            &format!(
                "{connections} connections in {}, sealed under key {key}; without that key \
                 nobody can restore them",
                path.display()
            ),
        );
    }
}

/// Writes page by page, so that a large database needs no large memory.
async fn write(
    app: &App,
    command: &Export,
    keys: &KeyRing,
    mut to: impl Write,
    output: &Output,
) -> Result<Written, Failure> {
    let progress = Progress::new(output, None, "exporting");
    let filter = command.only.filter();
    let mut written = Written {
        connections: 0,
        failed: 0,
    };
    let mut after = None;
    put(&mut to, &backup::header(keys, app.now()))?;
    loop {
        let rows = page(&app.store, &filter, command.id, after, PAGE).await?;
        let Some((last, _)) = rows.last() else { break };
        after = Some(*last);
        progress.advance(rows.len() as u64);
        for (id, row) in rows {
            match backup::line(row, &app.settings.keys, keys, app.fill) {
                Ok(line) => {
                    put(&mut to, &line)?;
                    written.connections += 1;
                }
                Err(error) => {
                    eprintln!("error: {id}: {error}");
                    written.failed += 1;
                }
            }
        }
    }
    put(&mut to, &backup::footer(written.connections))?;
    to.flush().map_err(|error| unwritable(&error))?;
    Ok(written)
}

fn put(to: &mut impl Write, line: &str) -> Result<(), Failure> {
    writeln!(to, "{line}").map_err(|error| unwritable(&error))
}

fn unwritable(error: &std::io::Error) -> Failure {
    Failure::new("unwritable", format!("cannot write: {error}"))
}
