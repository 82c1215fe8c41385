//! Behaviour through the public interface: real HTTP, a real Postgres, a demo provider.

mod authorize;
mod browser;
mod callback;
mod connect_page;
mod exchange;
mod flow;
mod scripted;
mod state;
mod support;
