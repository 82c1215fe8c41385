//! What people connect a mailbox for: sending from it, and watching it for messages.

pub mod address;
pub mod answer;
mod api;
mod client;
mod ending;
mod failure;
mod found;
pub mod message;
pub mod poll;
pub mod queue;
pub mod recover;
pub mod send;
mod turn;
pub mod watches;

pub use api::Api;
