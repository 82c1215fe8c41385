//! What others are told of: webhooks at a real receiver, and the audit of token reads.

mod answers;
mod audit;
mod deliver;
mod kills;
mod receiver;
