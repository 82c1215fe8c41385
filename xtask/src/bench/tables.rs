//! `cargo xtask bench import-table`: earlier tables of two sizes taken over by the command,
//! killed in the middle once, then backed up and restored: rows a second, and whether memory
//! depends on the number of rows.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grantkeep_devpg::Postgres;
use tokio_postgres::{Client, NoTls};

use super::function::{build, peak_memory};
use super::{Error, note};

/// Seals, and is the Fernet key of the encrypted table.
const KEY: &str = "b3h1bWJyZWxsYS1jb3JhbC1zZXZlbi1maXNoLTQyISE=";

/// An earlier table of `{rows}` rows, with tokens as long as Google's.
const JSONB: &str = "
    create table oauth_tokens (id serial primary key, provider varchar(50) not null,
        account varchar(255) not null, token_data jsonb not null, expires_at timestamptz,
        created_at timestamptz default now(), unique (provider, account));
    insert into oauth_tokens (provider, account, token_data, expires_at)
    select 'gmail', 'user' || n || '@example.test',
           jsonb_build_object('access_token', 'ya29.' || repeat(md5(n::text), 6),
                              'refresh_token', '1//' || repeat(md5('r' || n), 3),
                              'scope', 'https://www.googleapis.com/auth/gmail.readonly openid'),
           now() - interval '1 day'
      from generate_series(1, {rows}) n;
    analyze oauth_tokens";

struct Line {
    what: String,
    rows: u64,
    seconds: f64,
    peak_mb: f64,
}

/// Measures, and prints a table. Fails when a row is missing or twice.
pub fn run() -> Result<(), Error> {
    let rows: u64 = match std::env::var("GRANTKEEP_BENCH_ROWS") {
        Ok(text) => text.parse()?,
        Err(_) => 100_000,
    };
    let command: PathBuf = match std::env::var_os("GRANTKEEP_BENCH_CLI") {
        Some(other) => other.into(),
        None => build(&["--package", "grantkeep-cli", "--bin", "grantkeep"])?,
    };
    let postgres = Postgres::builder().start(&mut |line| note(line))?;
    let bench = Bench {
        command,
        postgres,
        runtime: tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?,
    };
    let mut lines = Vec::new();
    for count in [rows / 10, rows] {
        let url = bench.database(&format!("plain_{count}"), count)?;
        lines.push(bench.import(&url, "import-table", count)?);
    }
    let url = bench.database("killed", rows)?;
    lines.push(bench.killed(&url, rows)?);
    lines.extend(bench.backup(&url, rows)?);

    println!("| what | rows | time | rows/s | peak memory |");
    println!("|---|---|---|---|---|");
    for line in &lines {
        println!(
            "| {} | {} | {:.1} s | {:.0} | {:.1} MB |",
            line.what,
            line.rows,
            line.seconds,
            line.rows as f64 / line.seconds,
            line.peak_mb
        );
    }
    println!("\nMissing: 0. Twice: 0.");
    Ok(())
}

struct Bench {
    command: PathBuf,
    postgres: Postgres,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    /// A database with an earlier table in it; its address.
    fn database(&self, name: &str, rows: u64) -> Result<String, Error> {
        self.execute(&self.postgres.url(), &format!("create database {name}"))?;
        let url = self.postgres.database_url(name);
        if rows > 0 {
            note(&format!("a table of {rows} rows"));
            self.execute(&url, &JSONB.replace("{rows}", &rows.to_string()))?;
        }
        Ok(url)
    }

    fn import(&self, url: &str, what: &str, rows: u64) -> Result<Line, Error> {
        let line = self.measure(url, what, rows, &["import-table", "--yes"])?;
        self.check(url, rows)?;
        Ok(line)
    }

    /// Killed when about a half is done, and run again.
    fn killed(&self, url: &str, rows: u64) -> Result<Line, Error> {
        let mut first = self.spawn(url, &["import-table", "--yes"])?;
        let began = Instant::now();
        while self.count(url, "grantkeep_table_imports").unwrap_or(0) < rows / 2 {
            if first.try_wait()?.is_some() {
                return Err("it ended before it could be killed".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        first.kill()?;
        first.wait()?;
        let half = began.elapsed().as_secs_f64();
        let mut line = self.import(url, "import-table, killed at a half and run again", rows)?;
        line.seconds += half;
        Ok(line)
    }

    /// Everything into a backup, and from there into an empty database.
    fn backup(&self, url: &str, rows: u64) -> Result<[Line; 2], Error> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("backup").display().to_string();
        let out = self.measure(url, "export, sealed", rows, &["export", "--output", &path])?;
        let empty = self.database("restored", 0)?;
        let back = self.measure(&empty, "restore", rows, &["import", &path])?;
        match self.count(&empty, "oauth_tokens")? == rows {
            true => Ok([out, back]),
            false => Err("the restore is not complete".into()),
        }
    }

    fn measure(&self, url: &str, what: &str, rows: u64, arguments: &[&str]) -> Result<Line, Error> {
        note(&format!("{what}, {rows} rows"));
        let began = Instant::now();
        let mut child = self.spawn(url, arguments)?;
        let mut peak_mb: f64 = 0.0;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            peak_mb = peak_mb.max(peak_memory(child.id()).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(10));
        };
        match status.success() {
            true => Ok(Line {
                what: what.to_owned(),
                rows,
                seconds: began.elapsed().as_secs_f64(),
                peak_mb,
            }),
            false => Err(format!("{what} failed").into()),
        }
    }

    fn spawn(&self, url: &str, arguments: &[&str]) -> Result<Child, Error> {
        let child = Command::new(Path::new(&self.command))
            .args(arguments)
            .env_clear()
            .env("DATABASE_URL", format!("{url}?sslmode=disable"))
            .env("OAUTH_ENCRYPTION_KEY", KEY)
            .env("PUBLIC_URL", "https://app.example")
            .env(
                "GOOGLE_CLIENT_ID",
                "000000000000-bench.apps.googleusercontent.com",
            )
            .env("GOOGLE_CLIENT_SECRET", "not-a-real-secret")
            .stdout(Stdio::null())
            .spawn()?;
        Ok(child)
    }

    /// Every row became one connection, with one event and one line in the ledger.
    fn check(&self, url: &str, rows: u64) -> Result<(), Error> {
        for table in [
            "oauth_tokens",
            "grantkeep_table_imports",
            "connection_events",
            "oauth_tokens_before_grantkeep",
        ] {
            let found = self.count(url, table)?;
            if found != rows {
                return Err(format!("{table} has {found} rows, not {rows}").into());
            }
        }
        Ok(())
    }

    fn count(&self, url: &str, table: &str) -> Result<u64, Error> {
        self.runtime.block_on(async {
            let client = connect(url).await?;
            let sql = format!("select count(*) from {table}");
            let count: i64 = client.query_one(&sql, &[]).await?.get(0);
            Ok(count.unsigned_abs())
        })
    }

    fn execute(&self, url: &str, sql: &str) -> Result<(), Error> {
        self.runtime.block_on(async {
            let client = connect(url).await?;
            client.batch_execute(sql).await?;
            Ok(())
        })
    }
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
