//! The one table: every function with its methods and public paths.

use crate::service::Function;
use crate::{
    authorize, callback, connect, connect_links, connection, connections, cron, gmail, health,
    proxy, sign_in, token,
};

/// Every function, as deployed: one binary each.
pub static FUNCTIONS: [&Function; 12] = [
    &sign_in::FUNCTION,
    &authorize::FUNCTION,
    &callback::FUNCTION,
    &connect::FUNCTION,
    &connect_links::FUNCTION,
    &connections::FUNCTION,
    &connection::FUNCTION,
    &cron::FUNCTION,
    &gmail::FUNCTION,
    &health::FUNCTION,
    &proxy::FUNCTION,
    &token::FUNCTION,
];
