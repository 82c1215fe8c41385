//! Sending mail: what goes out, what is refused, and once.

mod failures;
mod injection;
mod once;
mod processes;
mod refusals;
mod sending;
mod support;
