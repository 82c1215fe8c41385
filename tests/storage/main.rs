//! What is stored and what several instances do to it at once: refreshing once, the
//! schema, poolers, TLS, sealing, tenants.

mod lease_model;
mod lease_race;
mod lease_steps;
mod lost_answers;
mod pooler;
mod refresh_failures;
mod refresh_once;
mod refresh_saves;
mod refresh_timing;
mod schema;
mod sealing;
mod support;
mod tenants;
mod tls;
