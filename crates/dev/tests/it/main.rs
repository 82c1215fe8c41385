//! `cargo dev` as a process: what it prints, what it leaves, what it refuses.

mod lifecycle;
mod mail;
mod paste;
mod settings;
mod support;
mod tour;
