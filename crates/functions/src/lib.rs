//! The HTTP side: one file per function
