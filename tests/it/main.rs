//! Behaviour through the public interface: real HTTP, a real Postgres, a demo provider.

mod flow;
