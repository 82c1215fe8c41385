//! The whole suite: the public interface over real HTTP and a real Postgres
