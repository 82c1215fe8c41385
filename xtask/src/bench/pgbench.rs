//! The very statement of a token read, run by pgbench: what Postgres alone can do here.

use std::path::Path;
use std::process::Command;

use grantkeep_core::store::oauth_tokens::find_sql;
use tempfile::TempDir;

use super::Error;
use super::database::{ACCOUNT, Database, PROVIDER};

/// A script and where its logs go.
pub struct Pgbench<'a> {
    database: &'a Database,
    directory: TempDir,
}

impl<'a> Pgbench<'a> {
    /// Writes the script.
    pub fn new(database: &'a Database) -> Result<Self, Error> {
        let directory = tempfile::tempdir()?;
        std::fs::write(directory.path().join("read.sql"), script())?;
        Ok(Self {
            database,
            directory,
        })
    }

    /// Transactions per second.
    pub fn rate(&self, clients: usize, seconds: u64) -> Result<f64, Error> {
        let text = self.run(clients, seconds, &[])?;
        text.lines()
            .find_map(|line| line.strip_prefix("tps = "))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .ok_or_else(|| format!("pgbench told no rate: {text}").into())
    }

    /// Seconds that each transaction of one client took.
    pub fn latencies(&self, seconds: u64) -> Result<Vec<f64>, Error> {
        self.run(1, seconds, &["--log", "--log-prefix=latency"])?;
        let mut latencies = Vec::new();
        for entry in std::fs::read_dir(self.directory.path())? {
            let path = entry?.path();
            if path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("latency"))
            {
                latencies.extend(read_log(&path)?);
                std::fs::remove_file(path)?;
            }
        }
        Ok(latencies)
    }

    fn run(&self, clients: usize, seconds: u64, more: &[&str]) -> Result<String, Error> {
        let own = self.database.postgres.bin_dir().join("pgbench");
        let program = if own.exists() { own } else { "pgbench".into() };
        let output = Command::new(&program)
            .current_dir(self.directory.path())
            .args(["-M", "extended", "-n", "-f", "read.sql", "-D"])
            .arg(format!("provider={PROVIDER}"))
            .args(["-D", "workspace=default", "-D", "actor=default", "-D"])
            .arg(format!("account={ACCOUNT}"))
            .args(["-c", &clients.to_string(), "-T", &seconds.to_string()])
            .args(more)
            .arg(self.database.url())
            .output()
            .map_err(|error| {
                format!(
                    "{}: {error}; it comes with Postgres (Debian: postgresql)",
                    program.display()
                )
            })?;
        if !output.status.success() {
            return Err(format!("pgbench: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// pgbench's parameters have names; the text is the same otherwise.
fn script() -> String {
    let sql = ["provider", "workspace", "actor", "account"]
        .iter()
        .enumerate()
        .fold(find_sql(true), |sql, (index, name)| {
            sql.replace(&format!("${}", index + 1), &format!(":{name}"))
        });
    format!(
        "{};\n",
        sql.split_whitespace().collect::<Vec<_>>().join(" ")
    )
}

/// The third column is the latency in microseconds.
fn read_log(path: &Path) -> Result<Vec<f64>, Error> {
    std::fs::read_to_string(path)?
        .lines()
        .map(|line| {
            let column = line.split(' ').nth(2).ok_or("a log line without latency")?;
            Ok(column.parse::<f64>()? / 1e6)
        })
        .collect()
}
