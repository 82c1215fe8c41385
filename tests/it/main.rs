//! Behaviour through the public interface: real HTTP, a real Postgres, a demo provider.

mod access;
mod answers;
mod authorize;
mod browser;
mod callback;
mod connect_page;
mod connections;
mod endpoints;
mod exchange;
mod fixation;
mod flow;
mod identity;
mod issuer;
mod links;
mod requests;
mod scopes;
mod scripted;
mod sessions;
mod state;
mod support;
mod token;
