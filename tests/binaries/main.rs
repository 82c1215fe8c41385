//! The real function binaries, each its own process, under stand-ins for every host.

mod apis;
mod canary;
mod cold_start;
mod facts;
mod flow;
mod logs;
mod memory;
mod needles;
mod read_only;

mod steps;
mod tap;
