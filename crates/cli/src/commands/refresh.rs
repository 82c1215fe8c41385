//! `grantkeep refresh`: new access tokens by hand, for one connection or many.

use clap::Args;
use grantkeep_core::App;
use grantkeep_core::scope::{Mode, ScopeSet};
use grantkeep_core::store::oauth_tokens::operators::{self, Filter, Mark};
use grantkeep_core::store::oauth_tokens::{Connection, Status};
use grantkeep_core::tokens::{self, Wanted};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::select::{One, Only};
use crate::settings;
use crate::time::rfc3339;
use crate::view::shown;

/// Refresh connections now, each once however many ask
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "`refresh all` takes the same options as `list` to choose by."
)]
pub struct Refresh {
    #[command(flatten)]
    one: Option<One>,
    #[command(subcommand)]
    many: Option<Many>,
}

/// More than one.
#[derive(clap::Subcommand)]
pub enum Many {
    /// Those whose access token has ended or ends soon
    Due {
        #[command(flatten)]
        only: Only,
        /// How soon, such as 5m or 1h
        #[arg(long, default_value = "5m", value_parser = crate::time::span)]
        within: chrono::TimeDelta,
    },
    /// All that are active
    All {
        #[command(flatten)]
        only: Only,
    },
}

/// So many providers' answers are waited for at once.
const AT_ONCE: usize = 8;
const PAGE: i64 = 200;

/// Refreshes and tells how many, and which ones failed.
pub async fn run(command: &Refresh, output: &Output) -> Result<Exit, Failure> {
    let app = settings::app().await?;
    match (&command.one, &command.many) {
        (_, Some(many)) => refresh_many(&app, many, output).await,
        (Some(one), None) => refresh_one(&app, one, output).await,
        (None, None) => Err(Failure::usage("name a connection, or say `due` or `all`")),
    }
}

async fn refresh_one(app: &App, one: &One, output: &Output) -> Result<Exit, Failure> {
    let connection = one.find(&app.store).await?;
    let key = connection.key.clone();
    let (_, after) = refresh(app.clone(), connection, None).await;
    let after = after?;
    let expires_at = after.expires_at.map(rfc3339);
    let until = expires_at.as_deref().unwrap_or("an unknown time");
    output.result(
        &json!({"id": key.id.to_string(), "refreshed": true, "expires_at": expires_at}),
        &format!(
            "Refreshed {} of {} until {until}.",
            key.provider,
            shown(&key.account)
        ),
    );
    Ok(Exit::Success)
}

async fn refresh_many(app: &App, many: &Many, output: &Output) -> Result<Exit, Failure> {
    let (filter, within) = match many {
        Many::Due { only, within } => {
            let filter = Filter {
                due_within: Some(within.as_seconds_f64()),
                ..only.filter()
            };
            (filter, Some(within.num_seconds()))
        }
        Many::All { only } => {
            let filter = Filter {
                status: Some(Status::Active),
                ..only.filter()
            };
            (filter, None)
        }
    };
    let progress = Progress::new(output, None, "refreshing");
    let mut tally = Tally::default();
    let mut working = JoinSet::new();
    let mut after = None;
    loop {
        let page = operators::page(&app.store, &filter, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(Mark::of(last));
        for connection in page {
            if working.len() >= AT_ONCE {
                tally.count(working.join_next().await, &progress);
            }
            working.spawn(refresh(app.clone(), connection, within));
        }
    }
    while let Some(ended) = working.join_next().await {
        tally.count(Some(ended), &progress);
    }
    drop(progress);
    tally.print(output)
}

type Refreshed = (Connection, Result<Connection, Failure>);

/// Refreshes one connection if its token ends `within` so many seconds, or whatever it has
/// left: the row as it was and as it is.
async fn refresh(app: App, connection: Connection, within: Option<i64>) -> Refreshed {
    let after = refreshed(&app, &connection, within).await;
    (connection, after)
}

async fn refreshed(
    app: &App,
    before: &Connection,
    within: Option<i64>,
) -> Result<Connection, Failure> {
    let key = &before.key;
    let provider = app.settings.providers.find(&key.provider).ok_or_else(|| {
        Failure::new(
            "unknown_provider",
            format!("the client of {} is not configured", key.provider),
        )
    })?;
    let stored = tokens::open(app, before.clone())?;
    let wanted = Wanted {
        owner: key.owner.clone(),
        account: Some(key.account.clone()),
        scopes: ScopeSet::default(),
        mode: Mode::Effective,
        min_ttl: within,
        // As if the provider had refused the token that is stored: the way to a refresh that
        // instances share.
        rejected: match within {
            None => Some(stored.credentials.access_token),
            Some(_) => None,
        },
    };
    let usable = tokens::usable(app, provider, &wanted).await?;
    if !usable.persisted {
        return Err(Failure::new(
            "storage_unavailable",
            "the provider gave a new token set and the database did not take it",
        ));
    }
    if usable.connection.version == before.version {
        return Err(Failure::new(
            "provider_unavailable",
            "the provider gave no new token; the stored one still works",
        ));
    }
    Ok(usable.connection)
}

#[derive(Default)]
struct Tally {
    refreshed: u64,
    failed: Vec<(Connection, Failure)>,
}

impl Tally {
    fn count(
        &mut self,
        ended: Option<Result<Refreshed, tokio::task::JoinError>>,
        progress: &Progress,
    ) {
        match ended {
            Some(Ok((_, Ok(_)))) => self.refreshed += 1,
            Some(Ok((before, Err(failure)))) => self.failed.push((before, failure)),
            // Nobody aborts them, and a panic has been printed.
            Some(Err(_)) | None => return,
        }
        progress.advance(1);
    }

    fn print(self, output: &Output) -> Result<Exit, Failure> {
        let failed: Vec<Value> = self
            .failed
            .iter()
            .map(|(connection, failure)| {
                json!({
                    "id": connection.key.id.to_string(),
                    "provider": connection.key.provider,
                    "account": connection.key.account,
                    "code": failure.code,
                    "detail": failure.detail,
                })
            })
            .collect();
        let mut text = format!("{} refreshed, {} failed", self.refreshed, failed.len());
        for (connection, failure) in &self.failed {
            let key = &connection.key;
            text.push_str(&format!(
                "\n{}  {}  {}  {}",
                key.id,
                key.provider,
                shown(&key.account),
                failure.detail
            ));
        }
        output.result(
            &json!({"refreshed": self.refreshed, "failed": failed}),
            &text,
        );
        Ok(match self.failed.is_empty() {
            true => Exit::Success,
            false => Exit::Failure,
        })
    }
}
