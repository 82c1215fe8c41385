//! What the functions do, without a web framework: connecting, sealing, refreshing once
//! across all instances, and telling the truth about scopes.
//!
//! [`app::App`] is what an instance holds; [`connect`], [`tokens`] and [`disconnect`] are
//! what it does; [`oauth`], [`scope`], [`cipher`] and [`credentials`] know neither
//! database nor HTTP server; [`store`] is SQL and nothing else.

pub mod api;
pub mod app;
pub mod backup;
pub mod cache;
pub mod cipher;
pub mod cold_start;
pub mod connect;
pub mod connection;
pub mod credentials;
pub mod disconnect;
pub mod gmail;
pub mod http;
pub mod import;
pub mod kms;
pub mod oauth;
pub mod provider;
pub mod refresh_ahead;
pub mod return_to;
pub mod revocations;
pub mod rotate;
pub mod scope;
pub mod secret;
pub mod service_key;
pub mod session;
pub mod settings;
pub mod sigv4;
pub mod store;
pub mod tokens;
mod unsaved;
pub mod webhooks;

pub use app::App;
