//! The `grantkeep` command: the real binary against a real database and demo provider.

mod connections;
mod doctor;
mod keys;
mod kms;
mod migrate;
mod rotate;
mod usage;
