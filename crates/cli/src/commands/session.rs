//! `grantkeep session mint`: a session by hand, for trying things out.

use chrono::{TimeDelta, Utc};
use clap::{Args, Subcommand};
use grantkeep_core::connection::{DEFAULT, Owner};
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::settings;
use crate::time::{rfc3339, span};

/// Make sessions
#[derive(Subcommand)]
pub enum Session {
    Mint(Mint),
}

/// Sign a session with SESSION_SECRET: proof of who the browser's user is
#[derive(Args)]
pub struct Mint {
    /// The tenant
    #[arg(long, default_value = DEFAULT)]
    workspace: String,
    /// The user within it
    #[arg(long, default_value = DEFAULT)]
    actor: String,
    /// How long it lives, such as 90s, 10m, 2h or 7d; at most 31d
    #[arg(long, default_value = "10m", value_parser = span)]
    ttl: TimeDelta,
}

/// Prints it, and nothing else on stdout.
pub fn run(Session::Mint(mint): &Session, output: &Output) -> Result<Exit, Failure> {
    if mint.ttl <= TimeDelta::zero() || mint.ttl > TimeDelta::days(31) {
        return Err(Failure::usage("--ttl must be above 0 and at most 31d"));
    }
    let owner = Owner::new(Some(&mint.workspace), Some(&mint.actor))
        .map_err(|error| Failure::usage(error.to_string()))?;
    let now = Utc::now();
    let session = settings::sessions()?
        .mint(&owner, now, mint.ttl)
        .ok_or_else(|| Failure::new("internal", "the session could not be signed"))?;
    let expires_at = rfc3339(now + mint.ttl);
    output.result(
        &json!({"session": session.expose(), "expires_at": expires_at}),
        session.expose(),
    );
    output.note(&format!(
        "Of {} in workspace {}, until {expires_at}; as ?session=… or a cookie.",
        owner.actor, owner.workspace
    ));
    Ok(Exit::Success)
}
