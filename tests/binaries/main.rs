//! The real function binaries, each its own process, under stand-ins for every host.

mod flow;
mod read_only;

mod steps;
