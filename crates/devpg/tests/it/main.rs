//! The launcher against real servers: what it starts, what it survives, what it leaves.

mod ends;
mod fetched;
mod serves;
mod support;
