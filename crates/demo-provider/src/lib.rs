//! A local authorization server with a consent page and fault knobs
