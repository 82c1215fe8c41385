//! Behaviour through the public interface: real HTTP, a real Postgres, a demo provider.

mod access;
mod authorize;
mod browser;
mod callback;
mod connect_page;
mod connections;
mod exchange;
mod flow;
mod identity;
mod links;
mod requests;
mod scopes;
mod scripted;
mod state;
mod support;
mod token;
