//! `grantkeep service-key`: keys that other endpoints show, and what `SERVICE_KEYS` has
//! to say about them.

use std::io::Read;

use clap::{Args, Subcommand};
use grantkeep_core::app::randomness;
use grantkeep_core::service_key::{self, Permission, ServiceKeys};
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::{Output, details};

/// Make and check service keys
#[derive(Subcommand)]
pub enum ServiceKey {
    New(New),
    Check,
}

/// Make a key; it is shown this once, SERVICE_KEYS knows only its hash
#[derive(Args)]
pub struct New {
    /// What the logs call its holder
    name: String,
    /// The only workspace that it is good for; * is every one
    #[arg(long, default_value = "*")]
    workspace: String,
    /// Of read, write, export, send and proxy, joined by + or ,
    #[arg(long, default_value = "read", value_delimiter = ',')]
    permissions: Vec<String>,
}

/// Does it.
pub fn run(command: &ServiceKey, output: &Output) -> Result<Exit, Failure> {
    match command {
        ServiceKey::New(new) => make(new, output),
        ServiceKey::Check => check(output),
    }
}

fn make(new: &New, output: &Output) -> Result<Exit, Failure> {
    let key = service_key::generate(randomness);
    let permissions = new.permissions.join("+");
    let entry = service_key::entry(&new.name, &new.workspace, &permissions, &key);
    // What would be refused at start is refused here.
    ServiceKeys::parse(&entry).map_err(|_| {
        Failure::usage(
            "a name and a workspace have no colon, comma or space around them, and permissions are \
             of read, write, export, send, proxy",
        )
    })?;
    let text = format!("{key}\n\nSERVICE_KEYS entry:\n{entry}");
    output.result(&json!({"key": key, "entry": entry}), &text);
    output.note(
        "\nGive the key to the caller, who sends it as `Authorization: Bearer …`; add the entry to \
         SERVICE_KEYS (comma separated) and deploy. The key cannot be shown again.",
    );
    Ok(Exit::Success)
}

/// Looks for a key, read from stdin, in `SERVICE_KEYS`.
fn check(output: &Output) -> Result<Exit, Failure> {
    let mut key = String::new();
    std::io::stdin()
        .take(4096)
        .read_to_string(&mut key)
        .map_err(|error| Failure::usage(format!("no key on stdin: {error}")))?;
    let key = key.trim();
    if service_key::is_mistyped(key) {
        return Err(Failure::new(
            "unauthorized",
            "this is a key with a slip in it: its checksum is wrong; was all of it copied?",
        ));
    }
    let configured =
        std::env::var("SERVICE_KEYS").map_err(|_| Failure::settings("SERVICE_KEYS is not set"))?;
    let keys = ServiceKeys::parse(&configured)
        .map_err(|error| Failure::settings(format!("SERVICE_KEYS {error}")))?;
    let found = keys.find(key).ok_or_else(|| {
        Failure::new(
            "unauthorized",
            "SERVICE_KEYS has no such key: make one with `grantkeep service-key new`",
        )
    })?;
    let workspace = found.workspace().unwrap_or("*");
    let permissions: Vec<&str> = Permission::every()
        .filter(|permission| found.permits(*permission))
        .map(Permission::name)
        .collect();
    output.result(
        &json!({"name": found.name, "workspace": workspace, "permissions": permissions}),
        &details(&[
            ("name", Some(found.name.clone())),
            ("workspace", Some(workspace.to_owned())),
            ("permissions", Some(permissions.join(" "))),
        ]),
    );
    Ok(Exit::Success)
}
