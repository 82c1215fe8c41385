//! One file of credentials: all that is in it becomes connections, or nothing does.

use std::path::Path;

use grantkeep_core::App;
use grantkeep_core::connection::Owner;
use grantkeep_core::import::save::{self, Order, Prepared};
use grantkeep_core::import::{self, Imported, Refused, Scopes};
use grantkeep_core::provider::Provider;

use super::Import;
use super::report::{Report, Why};
use crate::files;
use crate::ruby;

/// What a file holds, by the name it is reported under.
struct Entry {
    name: String,
    /// The user of a Ruby store's entry.
    actor: Option<String>,
    imported: Imported,
}

/// Imports one file; a report for each of its entries.
pub async fn import(app: &App, command: &Import, path: &Path) -> Vec<Report> {
    let name = path.display().to_string();
    let entries = match read(app, path, &name) {
        Ok(entries) => entries,
        Err(why) => return vec![Report::refused(name, why)],
    };
    let mut prepared = Vec::new();
    let mut refused = Vec::new();
    for entry in &entries {
        match prepare(app, command, entry).await {
            Ok(ready) => prepared.push((entry, ready)),
            Err(why) => refused.push(Report::refused(entry.name.clone(), why)),
        }
    }
    if !refused.is_empty() {
        refused.extend(prepared.into_iter().map(|(entry, _)| {
            let why = Why::Other("another entry of the same file was refused".to_owned());
            Report::refused(entry.name.clone(), why)
        }));
        return refused;
    }
    let mut reports = Vec::new();
    for (entry, ready) in prepared {
        reports.push(match ready {
            Prepared::Unchanged(row) => Report::unchanged(entry.name.clone(), &row),
            Prepared::Ready(ready) if command.dry_run => {
                Report::planned(entry.name.clone(), entry.imported.format, ready.account())
            }
            Prepared::Ready(ready) => match ready.commit(app).await {
                Ok(row) => Report::imported(entry.name.clone(), entry.imported.format, &row),
                Err(error) => Report::refused(entry.name.clone(), error.into()),
            },
        });
    }
    reports
}

fn read(app: &App, path: &Path, name: &str) -> Result<Vec<Entry>, Why> {
    let bytes = files::read(path, import::MAX_BYTES)
        .map_err(|error| Why::Other(format!("cannot be read: {error}")))?;
    let keys = &app.settings.keys;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    if bytes.len() <= import::MAX_BYTES
        && text.starts_with("---")
        && let Some(entries) = ruby::entries(text)
    {
        return entries
            .into_iter()
            .map(|(user, json)| {
                let imported = import::read(json.as_bytes(), keys).map_err(|refused| Refused {
                    field: format!("{user}.{}", refused.field),
                    ..refused
                })?;
                Ok(Entry {
                    name: format!("{name}#{user}"),
                    actor: Some(user),
                    imported,
                })
            })
            .collect();
    }
    Ok(vec![Entry {
        name: name.to_owned(),
        actor: None,
        imported: import::read(&bytes, keys)?,
    }])
}

async fn prepare(app: &App, command: &Import, entry: &Entry) -> Result<Prepared, Why> {
    let provider = provider(app, command, &entry.imported)?;
    let whose = &entry.imported.whose;
    let workspace = command.workspace.as_ref().or(whose.workspace.as_ref());
    let actor = command
        .actor
        .as_ref()
        .or(entry.actor.as_ref())
        .or(whose.actor.as_ref());
    let owner = Owner::new(workspace.map(String::as_str), actor.map(String::as_str))
        .map_err(|error| Why::Other(error.to_string()))?;
    let order = Order {
        owner,
        account: command.account.clone(),
        verify: !command.no_verify && !command.dry_run,
        replace: command.replace,
        keep_dead: command.keep_dead,
    };
    Ok(save::prepare(app, provider, &entry.imported, &order).await?)
}

/// The provider that was named, else the file's own, else the only one that fits.
fn provider<'a>(app: &'a App, command: &Import, imported: &Imported) -> Result<&'a Provider, Why> {
    let registry = &app.settings.providers;
    if let Some(name) = &command.provider {
        return registry.find(name).ok_or_else(|| {
            Why::Other(format!("there is no provider {name}, or no client for it"))
        });
    }
    let named = imported.whose.provider.as_deref();
    if let Some(provider) = named.and_then(|name| registry.find(name)) {
        return Ok(provider);
    }
    let mut fitting = registry.iter().filter(|provider| fits(provider, imported));
    match (fitting.next(), fitting.next()) {
        (Some(provider), None) => Ok(provider),
        _ => Err(Why::Other(
            "which provider it is for is not clear: name one with --provider".to_owned(),
        )),
    }
}

/// Whether it names this provider's client, and scopes that do its job.
fn fits(provider: &Provider, imported: &Imported) -> bool {
    let (Scopes::Requested(scopes) | Scopes::Granted(scopes)) = &imported.scopes else {
        return false;
    };
    let client = imported.client_id.as_ref() == Some(&provider.client.id);
    let job = provider.required_scopes();
    client && !job.is_empty() && provider.missing_scopes(scopes, &job).is_empty()
}
