//! What the functions do, without a web framework
