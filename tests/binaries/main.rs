//! The real function binaries, each its own process, under stand-ins for every host.

mod canary;
mod flow;
mod needles;
mod read_only;

mod steps;
mod tap;
