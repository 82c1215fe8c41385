//! `grantkeep list`: connections, never a token.

use clap::Args;
use grantkeep_core::provider::Registry;
use grantkeep_core::store::oauth_tokens::operators::{self, Filter, Mark};
use grantkeep_core::store::oauth_tokens::{Connection, Status};

use crate::failure::{Exit, Failure};
use crate::output::{Output, Table};
use crate::select::Only;
use crate::settings;
use crate::time::rfc3339;
use crate::view;

/// How many rows are read at once.
const PAGE: i64 = 500;

/// List connections, by workspace and actor
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    only: Only,
    /// Only those with this status: active, pending or reauthorization_required
    #[arg(long, value_parser = status)]
    status: Option<Status>,
    /// No more than so many
    #[arg(long)]
    limit: Option<u64>,
}

fn status(text: &str) -> Result<Status, String> {
    [
        Status::Active,
        Status::Pending,
        Status::ReauthorizationRequired,
    ]
    .into_iter()
    .find(|status| status.as_str() == text)
    .ok_or_else(|| "must be active, pending or reauthorization_required".to_owned())
}

/// Prints them page by page, so that a large database needs no large memory.
pub async fn run(command: &List, output: &Output) -> Result<Exit, Failure> {
    let (store, providers) = (settings::store()?, settings::providers()?);
    let filter = Filter {
        status: command.status,
        ..command.only.filter()
    };
    let mut printer = Printer::new(output);
    let mut left = command.limit.unwrap_or(u64::MAX);
    let mut after: Option<Mark> = None;
    while left > 0 {
        let wanted = i64::try_from(left).unwrap_or(PAGE).min(PAGE);
        let page = operators::page(&store, &filter, after.as_ref(), wanted).await?;
        let full = page.len() as i64 == wanted;
        left -= page.len() as u64;
        after = page.last().map(Mark::of);
        printer.page(&providers, page);
        if !full {
            break;
        }
    }
    printer.end();
    Ok(Exit::Success)
}

struct Printer<'a> {
    output: &'a Output,
    table: Table<7>,
    count: u64,
}

impl<'a> Printer<'a> {
    fn new(output: &'a Output) -> Self {
        if output.is_json() {
            output.line("{\"connections\":[");
        }
        Self {
            output,
            table: Table::new([
                "ID",
                "PROVIDER",
                "WORKSPACE",
                "ACTOR",
                "ACCOUNT",
                "STATUS",
                "EXPIRES",
            ]),
            count: 0,
        }
    }

    fn page(&mut self, providers: &Registry, page: Vec<Connection>) {
        if !self.output.is_json() {
            self.count += page.len() as u64;
            let rows: Vec<[String; 7]> = page.iter().map(cells).collect();
            return self.table.page(self.output, &rows);
        }
        for connection in page {
            let comma = if self.count == 0 { "" } else { "," };
            self.count += 1;
            let view = view::json(providers, &connection);
            self.output.line(&format!("{comma}{view}"));
        }
    }

    fn end(&self) {
        match self.output.is_json() {
            true => self.output.line("]}"),
            false if self.count == 0 => self.output.note("No connections."),
            false => {}
        }
    }
}

fn cells(connection: &Connection) -> [String; 7] {
    let key = &connection.key;
    [
        key.id.to_string(),
        key.provider.clone(),
        view::shown(&key.owner.workspace),
        view::shown(&key.owner.actor),
        view::shown(&key.account),
        match &connection.status_reason {
            Some(reason) => format!("{} ({reason})", connection.status.as_str()),
            None => connection.status.as_str().to_owned(),
        },
        connection.expires_at.map(rfc3339).unwrap_or_default(),
    ]
}
