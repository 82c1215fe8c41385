//! Importing what other systems stored: files, rows and whole tables, over HTTP and by the
//! command line; and exporting, so that it can be taken elsewhere again.

mod api;
mod backup;
mod command;
mod formats;
mod page;
mod properties;
mod support;
mod table;
