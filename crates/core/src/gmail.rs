//! Mail, at providers that speak the Gmail API: watching mailboxes for messages.

mod client;
mod ending;
mod found;
pub mod poll;
mod turn;
pub mod watches;

/// What a token has to be good for to search a mailbox: one of these.
/// `gmail.metadata` shows headers and may not search, so it is none of them.
pub const SEARCH: &str = "https://www.googleapis.com/auth/gmail.readonly\
    |https://www.googleapis.com/auth/gmail.modify|https://mail.google.com/";
/// Granted beside the others, it takes the right to search away.
pub const METADATA: &str = "https://www.googleapis.com/auth/gmail.metadata";
