//! A throw-away Postgres for development and tests
