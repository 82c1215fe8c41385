//! Behaviour through the public interface: real HTTP, a real Postgres, a demo provider.

mod callback;
mod flow;
mod state;
mod support;
