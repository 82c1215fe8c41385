//! cargo dev: every route on one port
