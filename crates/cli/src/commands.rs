//! One file per command: what it takes and what it does.

mod completions;
mod connect;
mod delete;
mod doctor;
mod events;
mod export;
mod import;
mod import_table;
mod keygen;
mod list;
mod migrate;
mod refresh;
mod revoke;
mod rotate_keys;
mod service_key;
mod session;
mod show;

use clap::Subcommand;

use crate::failure::{Exit, Failure};
use crate::output::Output;

/// What can be done.
#[derive(Subcommand)]
pub enum Command {
    Keygen(keygen::Keygen),
    #[command(subcommand)]
    ServiceKey(service_key::ServiceKey),
    #[command(subcommand)]
    Session(session::Session),
    Connect(connect::Connect),
    List(list::List),
    Events(events::Events),
    Show(show::Show),
    Refresh(refresh::Refresh),
    Revoke(revoke::Revoke),
    Delete(delete::Delete),
    RotateKeys(rotate_keys::RotateKeys),
    Import(import::Import),
    ImportTable(import_table::ImportTable),
    Export(export::Export),
    Migrate(migrate::Migrate),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
}

/// Does it.
pub async fn run(command: Command, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::Keygen(command) => keygen::run(&command, output).await,
        Command::ServiceKey(command) => service_key::run(&command, output),
        Command::Session(command) => session::run(&command, output),
        Command::Connect(command) => connect::run(&command, output).await,
        Command::Show(command) => show::run(&command, output).await,
        Command::Refresh(command) => refresh::run(&command, output).await,
        Command::Revoke(command) => revoke::run(&command, output).await,
        Command::Delete(command) => delete::run(&command, output).await,
        Command::List(command) => list::run(&command, output).await,
        Command::Events(command) => events::run(&command, output).await,
        Command::RotateKeys(command) => rotate_keys::run(&command, output).await,
        Command::Import(command) => import::run(command, output).await,
        Command::ImportTable(command) => import_table::run(&command, output).await,
        Command::Export(command) => export::run(&command, output).await,
        Command::Migrate(command) => migrate::run(&command, output).await,
        Command::Doctor(command) => doctor::run(&command, output).await,
        Command::Completions(command) => completions::run(&command),
    }
}
