//! A local OAuth 2.0 and OpenID Connect server with a corner of Gmail and Calendar behind it.
//!
//! It behaves like Google until a [knob](Knobs) is turned; then it acts out the quirks and faults
//! of other providers. `cargo dev` shows its consent page, tests drive it through [`DemoProvider`].
//! Everything lives in memory and on a loopback address; nothing in it is secret.

mod account;
mod answer;
mod api;
mod authorize;
mod calendar;
pub mod client;
mod control;
mod discovery;
mod gate;
mod handle;
mod id_token;
mod knobs;
mod mail;
mod page;
mod parameters;
mod recorded;
mod revoke;
mod scopes;
mod server;
mod token;
mod world;

pub use account::{ACCOUNTS, Account};
pub use handle::{DemoProvider, IssuedTokens};
pub use knobs::{
    ApiFault, ExpiresIn, IdTokenFault, Knobs, RefreshTokens, ResponseFormat, ScopeEcho,
};
pub use mail::Delivery;
pub use recorded::Recorded;
