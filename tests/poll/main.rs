//! The worker that watches mailboxes: nothing missed, nothing twice, nobody asked too often.

mod failures;
mod first_look;
mod later;
mod messages;
mod queue;
mod shared;
mod support;
mod watches;
