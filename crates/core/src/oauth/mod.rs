//! The protocol only: no database, no web framework, no provider by name.

pub mod authorization;
pub mod discovery;
pub mod id_token;
pub mod key_sets;
mod normalise;
pub mod revocation;
pub mod token;

pub(crate) use normalise::code as error_code;
pub use token::{TokenEndpointError, TokenSet};
