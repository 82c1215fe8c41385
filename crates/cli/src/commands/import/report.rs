//! What became of each file, for people and for programs.

use std::path::Path;

use grantkeep_core::import::save::ImportError;
use grantkeep_core::import::{Format, Refused};
use grantkeep_core::store::oauth_tokens::Connection;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::view::shown;

/// Why something was not imported.
pub enum Why {
    /// The file itself.
    Refused(Refused),
    /// Provider or database.
    Error(ImportError),
    /// Said in full.
    Other(String),
}

impl From<Refused> for Why {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<ImportError> for Why {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Refused(refused) => Self::Refused(refused),
            error => Self::Error(error),
        }
    }
}

/// One file, or one entry of it.
pub struct Report {
    name: String,
    value: Value,
    text: String,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    imported: u64,
    unchanged: u64,
    failed: u64,
}

impl Report {
    /// It is a connection now.
    pub fn imported(name: String, format: Format, row: &Connection) -> Self {
        let account = shown(&row.key.account);
        let text = format!(
            "imported {} of {account} as {}",
            row.key.provider, row.key.id
        );
        Self::new(name, "imported", text, row)
            .with("format", format.as_str().into())
            .count(1, 0, 0)
    }

    /// It was one before.
    pub fn unchanged(name: String, row: &Connection) -> Self {
        let text = format!("was imported before as {}: unchanged", row.key.id);
        Self::new(name, "unchanged", text, row).count(0, 1, 0)
    }

    /// It would become one.
    pub fn planned(name: String, format: Format, account: &str) -> Self {
        Self {
            value: json!({"file": name, "outcome": "would_import", "format": format.as_str(),
                          "account": account}),
            text: format!(
                "{}: would be imported as {}",
                format.as_str(),
                shown(account)
            ),
            name,
            counts: Counts::default(),
        }
        .count(1, 0, 0)
    }

    /// A backup.
    pub fn restored(path: &Path, restored: i64, unchanged: i64, taken: i64, dry_run: bool) -> Self {
        let name = path.display().to_string();
        let outcome = if dry_run { "would_restore" } else { "restored" };
        let word = if dry_run { "to restore" } else { "restored" };
        let mut text = format!("backup: {restored} {word}, {unchanged} unchanged");
        if taken > 0 {
            text.push_str(&format!(
                ", {taken} not: their account has another connection, delete that one first"
            ));
        }
        Self {
            value: json!({"file": name, "outcome": outcome, "restored": restored,
                          "unchanged": unchanged, "taken": taken}),
            text,
            name,
            counts: Counts::default(),
        }
        .count(
            restored.unsigned_abs(),
            unchanged.unsigned_abs(),
            taken.unsigned_abs(),
        )
    }

    /// Nothing of it was imported.
    pub fn refused(name: String, why: Why) -> Self {
        let (code, field, message) = match why {
            Why::Refused(refused) => ("invalid_file", Some(refused.field), refused.message),
            Why::Error(error) => (code(&error), None, advice(&error)),
            Why::Other(message) => ("invalid_file", None, message),
        };
        Self {
            text: match &field {
                Some(field) if field != "file" => format!("{field}: {message}"),
                _ => message.clone(),
            },
            value: json!({"file": name, "outcome": "failed", "code": code, "field": field,
                          "message": message}),
            name,
            counts: Counts::default(),
        }
        .count(0, 0, 1)
    }

    /// The same of a failure.
    pub fn failed(path: &Path, failure: Failure) -> Self {
        Self::refused(path.display().to_string(), Why::Other(failure.detail))
    }

    fn new(name: String, outcome: &str, text: String, row: &Connection) -> Self {
        let key = &row.key;
        Self {
            value: json!({"file": name, "outcome": outcome, "connection_id": key.id.to_string(),
                          "provider": key.provider, "workspace": key.owner.workspace,
                          "actor": key.owner.actor, "account": key.account,
                          "status": row.status.as_str(), "scopes": row.scopes.as_slice()}),
            text,
            name,
            counts: Counts::default(),
        }
    }

    fn with(mut self, member: &str, value: Value) -> Self {
        self.value[member] = value;
        self
    }

    fn count(mut self, imported: u64, unchanged: u64, failed: u64) -> Self {
        self.counts = Counts {
            imported,
            unchanged,
            failed,
        };
        self
    }
}

fn code(error: &ImportError) -> &'static str {
    match error {
        ImportError::Refused(_) => "invalid_file",
        ImportError::Connected { .. } => "connected",
        ImportError::Dead { .. } => "dead",
        ImportError::Provider(_) | ImportError::Discovery(_) => "provider_unavailable",
        ImportError::Store(_) => "storage_unavailable",
    }
}

fn advice(error: &ImportError) -> String {
    match error {
        ImportError::Connected { .. } => {
            format!("{error}: say --replace to put the file's credentials in its place")
        }
        ImportError::Dead { .. } => {
            format!("{error}; nothing was stored: the user has to connect again")
        }
        _ => error.to_string(),
    }
}

/// All of them.
#[derive(Default)]
pub struct Reports(Vec<Report>);

impl Reports {
    /// More of them.
    pub fn add(&mut self, reports: Vec<Report>) {
        self.0.extend(reports);
    }

    /// Prints them by name; the exit code says whether all worked.
    pub fn print(mut self, output: &Output) -> Result<Exit, Failure> {
        if self.0.is_empty() {
            return Err(Failure::new("invalid_file", "there is no file to import"));
        }
        self.0.sort_by(|a, b| a.name.cmp(&b.name));
        let sum = |count: fn(&Counts) -> u64| self.0.iter().map(|one| count(&one.counts)).sum();
        let (imported, unchanged, failed): (u64, u64, u64) = (
            sum(|counts| counts.imported),
            sum(|counts| counts.unchanged),
            sum(|counts| counts.failed),
        );
        let mut text: String = self
            .0
            .iter()
            .map(|one| format!("{}: {}\n", shown(&one.name), one.text))
            .collect();
        text.push_str(&format!(
            "{imported} imported, {unchanged} unchanged, {failed} failed"
        ));
        let files: Vec<Value> = self.0.into_iter().map(|one| one.value).collect();
        output.result(
            &json!({"imported": imported, "unchanged": unchanged, "failed": failed,
                    "files": files}),
            &text,
        );
        Ok(match failed {
            0 => Exit::Success,
            _ => Exit::Failure,
        })
    }
}
