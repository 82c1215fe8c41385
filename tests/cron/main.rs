//! What the scheduler runs: who may start it, what it refreshes, retries, revokes and deletes.

mod access;
mod bench;
mod failures;
mod kills;
mod prune;
mod refresh;
mod restart;
mod revoke;
mod share;
mod support;
