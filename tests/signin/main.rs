//! Signing in: by the provider's popup, and by sessions of another issuer.

mod browser;
mod identity;
mod issuer;
mod page;
mod popup;
mod users;
