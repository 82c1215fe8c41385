//! How a connection is made: begin an authorization, complete it, and confirm it where
//! the one who completed it could be somebody else than the actor.

mod begin;
mod complete;
mod grant;
mod identity;
mod link;
mod sign_in;

pub use begin::{Begin, BeginError, Begun, begin};
pub use complete::{
    Arrival, Callback, CompleteError, Completed, Failure, Outcome, complete, flow_cookie,
};
pub(crate) use grant::row_for;
pub use grant::{ConfirmError, Grant, confirm, pending};
pub(crate) use identity::{Identity, identify, is_another};
pub use link::{Link, LinkError, create as create_link, open as open_link};
pub use sign_in::{SignInError, SignedIn, sign_in};

/// An authorization has to be completed within so many seconds, a link used and a
/// pending connection confirmed.
pub const TTL: i64 = 600;
