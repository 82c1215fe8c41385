//! The one table: every function with its methods and public paths.

use crate::service::Function;
use crate::{
    authorize, callback, connect, connect_links, connection, connections, cron, health, proxy,
    token,
};

/// Every function, as deployed: one binary each.
pub static FUNCTIONS: [&Function; 10] = [
    &authorize::FUNCTION,
    &callback::FUNCTION,
    &connect::FUNCTION,
    &connect_links::FUNCTION,
    &connections::FUNCTION,
    &connection::FUNCTION,
    &cron::FUNCTION,
    &health::FUNCTION,
    &proxy::FUNCTION,
    &token::FUNCTION,
];
