//! Tokens in the clear, in the form that google-auth and `grantkeep import` read.

use std::io::Write;
use std::path::Path;

use grantkeep_core::App;
use grantkeep_core::connection::ConnectionId;
use grantkeep_core::store::oauth_tokens::operators::{self, Filter, Mark};
use grantkeep_core::store::oauth_tokens::{self, Connection, Status};
use grantkeep_core::tokens;
use serde_json::{Value, json};

use super::{Export, PAGE, unwritable};
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::Output;
use crate::progress::Progress;

/// One connection to a file or stdout, several into a directory.
pub async fn reveal(app: &App, command: &Export, output: &Output) -> Result<Exit, Failure> {
    let mut found = chosen(app, command, None, 2).await?;
    if found.is_empty() {
        return Err(Failure::new("not_connected", "no connection fits"));
    }
    let directory = command.output.as_deref().filter(|path| path.is_dir());
    if found.len() > 1 && directory.is_none() {
        return Err(Failure::usage(
            "several connections fit: name one by its id, or an existing directory with --output",
        ));
    }
    command
        .confirmation
        .ask("This writes tokens that are as good as a password.")?;
    match (directory, found.pop()) {
        (Some(directory), _) => all(app, command, directory, output).await,
        (None, Some(connection)) => one(app, command, connection, output).await,
        (None, None) => Ok(Exit::Success),
    }
}

async fn one(
    app: &App,
    command: &Export,
    connection: Connection,
    output: &Output,
) -> Result<Exit, Failure> {
    let credentials = credentials(app, connection).await?;
    match &command.output {
        None => output.line(&format!("{credentials:#}")),
        Some(path) => {
            write(path, &credentials)?;
            let name = path.display().to_string();
            output.result(
                &json!({"files": [name], "failed": 0}),
                &format!("wrote {name}"),
            );
        }
    }
    Ok(Exit::Success)
}

async fn all(
    app: &App,
    command: &Export,
    directory: &Path,
    output: &Output,
) -> Result<Exit, Failure> {
    let progress = Progress::new(output, None, "exporting");
    let (mut written, mut failed) = (0_u64, 0_u64);
    let mut after = None;
    loop {
        let found = chosen(app, command, after.as_ref(), PAGE).await?;
        let Some(last) = found.last() else { break };
        after = Some(Mark::of(last));
        for connection in found {
            let id = connection.key.id;
            let path = directory.join(format!("{}-{id}.json", connection.key.provider));
            let done = match credentials(app, connection).await {
                Ok(credentials) => write(&path, &credentials),
                Err(failure) => Err(failure),
            };
            match done {
                Ok(()) => written += 1,
                Err(failure) => {
                    eprintln!("error: {id}: {}", failure.detail);
                    failed += 1;
                }
            }
            progress.advance(1);
        }
        if command.id.is_some() {
            break;
        }
    }
    drop(progress);
    output.result(
        &json!({"directory": directory.display().to_string(), "written": written,
                "failed": failed}),
        &format!(
            "{written} written to {}, {failed} failed",
            directory.display()
        ),
    );
    Ok(match failed {
        0 => Exit::Success,
        _ => Exit::Failure,
    })
}

async fn chosen(
    app: &App,
    command: &Export,
    after: Option<&Mark>,
    limit: i64,
) -> Result<Vec<Connection>, Failure> {
    if let Some(id) = command.id {
        let found = oauth_tokens::find_by_id(&app.store, ConnectionId(id)).await?;
        return Ok(found.into_iter().collect());
    }
    let filter = Filter {
        status: Some(Status::Active),
        ..command.only.filter()
    };
    Ok(operators::page(&app.store, &filter, after, limit).await?)
}

/// As stored: nothing is refreshed. Whose they are stands beside them.
async fn credentials(app: &App, connection: Connection) -> Result<Value, Failure> {
    let key = connection.key.clone();
    let provider = app.settings.providers.find(&key.provider).ok_or_else(|| {
        let detail = format!("the client of {} is not configured", key.provider);
        Failure::new("unknown_provider", detail)
    })?;
    let definition = provider
        .definition(&app.http)
        .await
        .map_err(|error| Failure::new("provider_unavailable", error.to_string()))?;
    let usable = tokens::open(app, connection)?;
    let (times, scopes) = (usable.connection.times(), &usable.connection.scopes);
    let client = &provider.client;
    let mut json =
        usable
            .credentials
            .authorized_user(definition, client, &times, scopes, &key.account, true);
    if let Value::Object(members) = &mut json {
        // Imported without one, and never refreshed since.
        members.retain(|name, value| name != "token" || *value != "");
        members.insert("provider".to_owned(), key.provider.into());
        members.insert("workspace".to_owned(), key.owner.workspace.into());
        members.insert("actor".to_owned(), key.owner.actor.into());
    }
    Ok(json)
}

fn write(path: &Path, credentials: &Value) -> Result<(), Failure> {
    let mut file = files::create_private(path)?;
    writeln!(file, "{credentials:#}").map_err(|error| unwritable(&error))
}
