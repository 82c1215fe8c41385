//! What the documents say is so: routes, answers, codes, variables, links.

mod answers;
mod aws;
mod checkpoint;
mod deploy;
mod pages;
mod popup;
mod project;
mod routes;
mod schema;
