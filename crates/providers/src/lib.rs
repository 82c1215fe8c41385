//! The providers' definitions, as data checked at build time
