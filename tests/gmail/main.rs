//! Sending mail: what goes out, what is refused, and once.

mod failures;
mod injection;
mod once;
mod refusals;
mod sending;
mod support;
