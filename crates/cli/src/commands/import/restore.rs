//! A backup into the database. It is read twice: once to see that all of it opens and
//! nothing is cut off, and once to write it, so that a damaged one changes nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use grantkeep_core::App;
use grantkeep_core::backup::{self, Line, MAX_LINE};
use grantkeep_core::cipher::KeyRing;
use grantkeep_core::connection::RowKey;
use grantkeep_core::store::oauth_tokens::backup::{Restored, restore as write};
use serde_json::{Map, Value};

use super::report::Report;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;

/// So many rows are written by one statement.
const BATCH: usize = 500;

/// Whether a file begins as a backup does.
pub fn is_backup(path: &Path) -> bool {
    let mut beginning = [0; backup::MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut beginning));
    path.as_os_str() != "-" && read.is_ok() && beginning == backup::MAGIC.as_bytes()
}

/// Restores a backup that `key`, or the settings' own keys, open.
pub async fn restore(
    app: &App,
    key: Option<&KeyRing>,
    path: &Path,
    dry_run: bool,
    output: &Output,
) -> Result<Vec<Report>, Failure> {
    let from = key.unwrap_or(&app.settings.keys);
    let mut total = 0;
    read(app, from, path, |_| total += 1)?;
    if dry_run {
        let count = i64::try_from(total).unwrap_or(i64::MAX);
        return Ok(vec![Report::restored(path, count, 0, 0, true)]);
    }
    let progress = Progress::new(output, Some(total), "restoring");
    let mut lines = Lines::open(app, from, path)?;
    let mut sum = Restored::default();
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH {
            let Some(row) = lines.next()? else { break };
            batch.push(row);
        }
        if batch.is_empty() {
            break;
        }
        let done = write(&app.store, &batch).await?;
        sum.restored += done.restored;
        sum.unchanged += done.unchanged;
        sum.taken += done.taken;
        progress.advance(batch.len() as u64);
    }
    drop(progress);
    let Restored {
        restored,
        unchanged,
        taken,
    } = sum;
    Ok(vec![Report::restored(
        path, restored, unchanged, taken, false,
    )])
}

fn read(
    app: &App,
    from: &KeyRing,
    path: &Path,
    mut each: impl FnMut((RowKey, Value)),
) -> Result<(), Failure> {
    let mut lines = Lines::open(app, from, path)?;
    while let Some(row) = lines.next()? {
        each(row);
    }
    Ok(())
}

/// A backup's connections, one after the other.
struct Lines<'a> {
    app: &'a App,
    from: &'a KeyRing,
    file: BufReader<File>,
    number: u64,
    count: u64,
    ended: bool,
}

impl<'a> Lines<'a> {
    fn open(app: &'a App, from: &'a KeyRing, path: &Path) -> Result<Self, Failure> {
        let file = File::open(path)
            .map_err(|error| Failure::new("unreadable", format!("cannot be read: {error}")))?;
        let mut lines = Self {
            app,
            from,
            file: BufReader::new(file),
            number: 0,
            count: 0,
            ended: false,
        };
        let first = lines.line()?.unwrap_or_default();
        let header = backup::read_header(&first).map_err(|error| lines.wrong(&error))?;
        let known = from.ids().iter().any(|id| id.to_string() == header.key_id);
        match known {
            true => Ok(lines),
            false => Err(Failure::new(
                "integrity_error",
                format!(
                    "is sealed under key {}: give that one with --key-file or GRANTKEEP_BACKUP_KEY",
                    header.key_id
                ),
            )),
        }
    }

    fn next(&mut self) -> Result<Option<(RowKey, Value)>, Failure> {
        if self.ended {
            return Ok(None);
        }
        let Some(line) = self.line()? else {
            return Err(Failure::new(
                "invalid_file",
                "has no last line: the backup was cut off, nothing was restored from here on",
            ));
        };
        match backup::read_line(&line).map_err(|error| self.wrong(&error))? {
            Line::End(footer) if footer.connections == self.count && self.line()?.is_none() => {
                self.ended = true;
                Ok(None)
            }
            Line::End(_) => Err(Failure::new(
                "invalid_file",
                "says that it has another number of connections than it has",
            )),
            Line::Connection(row) => self.row(row).map(Some),
        }
    }

    fn row(&mut self, row: Map<String, Value>) -> Result<(RowKey, Value), Failure> {
        self.count += 1;
        let keys = &self.app.settings.keys;
        backup::restored(row, self.from, keys, self.app.fill).map_err(|error| self.wrong(&error))
    }

    fn line(&mut self) -> Result<Option<String>, Failure> {
        self.number += 1;
        let mut line = String::new();
        let read = (&mut self.file)
            .take(MAX_LINE as u64)
            .read_line(&mut line)
            .map_err(|error| {
                Failure::new("unreadable", format!("line {}: {error}", self.number))
            })?;
        Ok((read > 0).then_some(line))
    }

    fn wrong(&self, error: &impl std::fmt::Display) -> Failure {
        Failure::new("invalid_file", format!("line {}: {error}", self.number))
    }
}
