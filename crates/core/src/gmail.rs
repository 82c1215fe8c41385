//! What people connect a mailbox for: sending from it, and watching it for messages.

pub mod address;
pub mod answer;
mod api;
mod client;
mod ending;
mod found;
pub mod message;
pub mod poll;
pub mod recover;
pub mod send;
mod turn;
pub mod watches;

pub use api::Api;

/// What a token has to be good for to search a mailbox: one of these.
/// `gmail.metadata` shows headers and may not search, so it is none of them.
pub const SEARCH: &str = "https://www.googleapis.com/auth/gmail.readonly\
    |https://www.googleapis.com/auth/gmail.modify|https://mail.google.com/";
/// Granted beside the others, it takes the right to search away.
pub const METADATA: &str = "https://www.googleapis.com/auth/gmail.metadata";
