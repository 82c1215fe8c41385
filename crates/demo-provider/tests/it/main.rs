//! The demo provider over real HTTP, as its users meet it.

mod answers;
mod apis;
mod authorize;
mod calendar;
mod clients;
mod control;
mod exchange;
mod faults;
mod harness;
mod id_tokens;
mod mail;
mod mail_sending;
mod refresh;
mod revoke;
