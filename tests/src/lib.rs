//! What the tests stand on: every function on one port with a database and a demo
//! provider of its own, browsers with cookies, and callers with keys.

pub mod api;
pub mod browser;
pub mod bulk;
pub mod command;
pub mod database;
pub mod deployment;
pub mod http;
pub mod instance;
pub mod kms;
pub mod pgbouncer;
pub mod seed;
pub mod visitor;
pub mod wire;

pub use api::{TestApi, TestApiBuilder};
pub use deployment::Deployment;
pub use http::Reply;
pub use visitor::{Consent, Visitor};
