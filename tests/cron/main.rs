//! What the scheduler runs: who may start it, what it refreshes, retries, revokes and deletes.

mod access;
mod failures;
mod prune;
mod refresh;
mod revoke;
mod share;
mod support;
