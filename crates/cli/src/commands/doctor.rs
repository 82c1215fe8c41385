//! `grantkeep doctor`: looks at everything that is easily wrong, and says for each finding
//! what to do. It changes nothing.

mod connections;
mod database;
mod finding;
mod keys;
mod providers;
mod setup;

use clap::Args;
use grantkeep_core::App;
use grantkeep_core::app::LoadError;
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::settings;

use finding::{Findings, Level};

/// Look for what is wrong with settings, database, keys, providers and connections
///
/// Exits with 1 if something fails; warnings are worth a look and do not count.
#[derive(Args)]
pub struct Doctor {
    /// Ask no provider whether it knows our client
    #[arg(long)]
    offline: bool,
}

/// Looks, as far as it can get.
pub async fn run(command: &Doctor, output: &Output) -> Result<Exit, Failure> {
    let mut findings = Findings::default();
    {
        let _progress = Progress::new(output, None, "looking");
        match App::load(&[]).await {
            Ok(app) => {
                findings.ok("settings", "can all be read");
                examine(&app, command, &mut findings).await;
            }
            Err(error) => {
                report(error, &mut findings);
                // The database may still be looked at.
                if let Ok(store) = settings::store() {
                    database::examine(&store, None, &mut findings).await;
                }
            }
        }
    }
    print(&findings, output);
    Ok(match findings.count(Level::Fail) {
        0 => Exit::Success,
        _ => Exit::Failure,
    })
}

fn report(error: LoadError, findings: &mut Findings) {
    match error {
        LoadError::Settings(error) => {
            for problem in error.0 {
                let detail = format!("{} {}", problem.variable, problem.message);
                findings.fail(
                    "settings",
                    detail,
                    "set it where the functions run, and here",
                );
            }
        }
        LoadError::Kms(error) => findings.fail(
            "aws kms",
            error.to_string(),
            "see the key, its policy, and the AWS credentials of this environment",
        ),
    }
}

async fn examine(app: &App, command: &Doctor, findings: &mut Findings) {
    setup::examine(app, findings);
    let reachable = database::examine(&app.store, Some(app), findings).await;
    if reachable {
        keys::examine(app, findings).await;
    }
    providers::examine(app, command.offline, findings).await;
    if reachable {
        connections::examine(app, findings).await;
    }
}

fn print(findings: &Findings, output: &Output) {
    let (failures, warnings) = (findings.count(Level::Fail), findings.count(Level::Warn));
    if output.is_json() {
        let findings: Vec<_> = findings.iter().map(finding::Finding::json).collect();
        output.line(&json!({"healthy": failures == 0, "findings": findings}).to_string());
        return;
    }
    for finding in findings.iter() {
        output.line(&finding.to_string());
    }
    output.note(&format!("\n{failures} to mend, {warnings} worth a look."));
}
