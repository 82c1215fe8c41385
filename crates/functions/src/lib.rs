//! The HTTP side: one file per function, thin over `grantkeep-core`.
//!
//! A handler shows four steps: extract, authorise, one domain call, respond. Every error
//! is a [`problem::Problem`]; [`routes::FUNCTIONS`] is the one list of what is deployed.

mod attempts;
pub mod authorize;
pub mod callback;
pub mod caller;
pub mod connect;
pub mod connect_links;
pub mod connection;
pub mod connections;
pub mod cron;
pub mod gmail;
pub mod health;
pub mod log;
pub mod paging;
pub mod problem;
pub mod proxy;
pub mod routes;
pub mod service;
pub mod sign_in;
pub mod token;

mod connection_view;
mod cookies;
mod cors;
mod extract;
mod import;
mod json;
mod late_start;
mod page;
mod provider_path;

pub use page::style;
