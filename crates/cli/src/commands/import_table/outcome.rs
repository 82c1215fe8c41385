//! What became of the rows of a table: counted, the first of the others shown, and all of
//! them in a file where one is asked for.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use grantkeep_core::import::table::{Batch, Skipped};
use grantkeep_core::store::earlier_tables::adoption::Move;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::Output;
use crate::view::shown;

/// So many rows that were not imported are shown.
const SHOWN: usize = 100;

/// The sum of all batches.
pub struct Outcome {
    dry_run: bool,
    moved: Vec<Value>,
    imported: u64,
    before: u64,
    skipped: u64,
    first: Vec<Skipped>,
    report: Option<BufWriter<File>>,
    started: Instant,
}

impl Outcome {
    /// Nothing yet.
    pub fn new(report: Option<&Path>, dry_run: bool) -> Result<Self, Failure> {
        let report = report.map(files::create_private).transpose()?;
        Ok(Self {
            dry_run,
            moved: Vec::new(),
            imported: 0,
            before: 0,
            skipped: 0,
            first: Vec::new(),
            report: report.map(BufWriter::new),
            started: Instant::now(),
        })
    }

    /// These tables move.
    pub fn moved(&mut self, moves: &[Move]) {
        self.moved = moves
            .iter()
            .map(|one| json!({"from": one.from, "to": one.to}))
            .collect();
    }

    /// One batch more.
    pub fn add(&mut self, batch: Batch) -> Result<(), Failure> {
        self.imported += batch.imported;
        self.before += batch.before;
        self.skipped += batch.skipped.len() as u64;
        for skipped in batch.skipped {
            if let Some(report) = &mut self.report {
                writeln!(report, "{}", line(&skipped)).map_err(|error| unwritable(&error))?;
            }
            if self.first.len() < SHOWN {
                self.first.push(skipped);
            }
        }
        Ok(())
    }

    /// Prints it; rows that are left are a failure.
    pub fn print(mut self, output: &Output) -> Result<Exit, Failure> {
        if let Some(report) = &mut self.report {
            report.flush().map_err(|error| unwritable(&error))?;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let skipped: Vec<Value> = self.first.iter().map(line).collect();
        output.result(
            &json!({"dry_run": self.dry_run, "moved": self.moved, "imported": self.imported,
                    "imported_before": self.before, "skipped": self.skipped,
                    "rows": skipped, "seconds": seconds}),
            &self.text(seconds),
        );
        Ok(match self.skipped {
            0 => Exit::Success,
            _ => Exit::Failure,
        })
    }

    fn text(&self, seconds: f64) -> String {
        let mut text = String::new();
        for moved in &self.moved {
            let verb = if self.dry_run {
                "would become"
            } else {
                "is now"
            };
            let name = |member: &str| shown(moved[member].as_str().unwrap_or_default());
            text.push_str(&format!("table {} {verb} {}\n", name("from"), name("to")));
        }
        for skipped in &self.first {
            text.push_str(&format!(
                "row {}: {}\n",
                shown(&skipped.key),
                skipped.reason
            ));
        }
        let more = self.skipped - self.first.len() as u64;
        if more > 0 {
            text.push_str(&format!("… and {more} more; --report FILE lists all\n"));
        }
        let word = if self.dry_run {
            "to import"
        } else {
            "imported"
        };
        text.push_str(&format!(
            "{} {word}, {} imported before, {} left where they are, in {seconds:.1} s",
            self.imported, self.before, self.skipped
        ));
        text
    }
}

fn line(skipped: &Skipped) -> Value {
    json!({"row": skipped.key, "reason": skipped.reason})
}

fn unwritable(error: &std::io::Error) -> Failure {
    Failure::new(
        "unwritable",
        format!("the report cannot be written: {error}"),
    )
}
