//! The Redis cache against real Redis servers, and against servers that are none. It only
//! ever makes reads cheaper: never wrong, never failing.

mod faults;
mod fresh;
mod hits;
mod model;
mod race;
mod server;
mod tls;
