//! The proxy: where calls go and where they cannot go, what passes, what is tried again.

mod access;
mod calendar;
mod headers;
mod retries;
mod streams;
mod targets;
mod upstream;
mod wire;
