//! `vercel.json` says the same as `Cargo.toml`, `api/` and the table of functions, and
//! publishes nothing besides `public/`.

use std::collections::{BTreeMap, BTreeSet};

use grantkeep_functions::routes::FUNCTIONS;
use serde_json::Value;

use crate::project::{files, text};

/// A token read may wait for somebody else's refresh this long, seconds.
const LONGEST_WAIT: u64 = 30;

/// What every plan of Vercel allows, seconds and MB.
const DURATION_OF_EVERY_PLAN: u64 = 60;
const MEMORY_OF_EVERY_PLAN: u64 = 2048;

fn vercel() -> Value {
    serde_json::from_str(&text("vercel.json")).expect("vercel.json is JSON")
}

/// Name and path of every `[[bin]]`.
fn binaries() -> BTreeMap<String, String> {
    let manifest: toml::Value = toml::from_str(&text("Cargo.toml")).expect("Cargo.toml");
    let bins = manifest["bin"].as_array().expect("[[bin]]").iter();
    bins.map(|bin| {
        let text = |key: &str| bin[key].as_str().expect("a string").to_owned();
        (text("name"), text("path"))
    })
    .collect()
}

/// The address at which Vercel serves a file of `api/`.
fn address(path: &str) -> String {
    let path = path.strip_suffix(".rs").expect("a Rust file");
    format!("/{}", path.replace('[', "{").replace(']', "}"))
}

/// Whether an address serves a path: part by part the same, or any word for a `{name}`.
pub fn serves(address: &str, path: &str) -> bool {
    let (address, path) = (address.split('/'), path.split('/'));
    address.clone().count() == path.clone().count()
        && address
            .zip(path)
            .all(|(own, part)| own == part || (own.starts_with('{') && !part.starts_with('{')))
}

/// What Vercel rewrites to a file for one of its function's routes.
fn source(route: &str, own: &str) -> String {
    match route.split_once("{*") {
        Some((_, rest)) => format!("{own}/:{}*", rest.trim_end_matches('}')),
        None => route.to_owned(),
    }
}

#[test]
fn vercel_gets_every_function_and_no_other() {
    let configured: BTreeSet<String> = vercel()["functions"]
        .as_object()
        .expect("functions")
        .keys()
        .cloned()
        .collect();
    let built: BTreeSet<String> = binaries().into_values().collect();
    let sources: BTreeSet<String> = files()
        .iter()
        .filter(|path| path.starts_with("api"))
        .map(|path| path.to_string_lossy().into_owned())
        .collect();

    assert_eq!(configured, built);
    assert_eq!(configured, sources);
}

#[test]
fn every_function_has_memory_and_the_time_to_wait_for_a_refresh() {
    let page = text("docs/deploy-vercel.md");
    for (path, function) in vercel()["functions"].as_object().expect("functions") {
        let number = |key: &str| {
            function[key]
                .as_u64()
                .unwrap_or_else(|| panic!("{path}: no {key}"))
        };
        let (memory, duration) = (number("memory"), number("maxDuration"));
        assert!(
            (128..=MEMORY_OF_EVERY_PLAN).contains(&memory),
            "{path}: {memory} MB"
        );
        assert!(
            duration > LONGEST_WAIT && duration <= DURATION_OF_EVERY_PLAN,
            "{path}: {duration} s"
        );
        for told in [
            format!("`memory` {memory} MB"),
            format!("`maxDuration` {duration} s"),
        ] {
            assert!(page.contains(&told), "docs/deploy-vercel.md: {told}");
        }
    }
}

#[test]
fn every_path_is_a_file_of_api_or_a_rewrite_to_it() {
    let binaries = binaries();
    let needed: BTreeSet<(String, String)> = FUNCTIONS
        .iter()
        .flat_map(|function| {
            let own = address(&binaries[function.name]);
            let paths = function.routes.iter().map(|(path, _)| (*path).to_owned());
            paths
                .filter(|path| !serves(&own, path))
                .map(|path| (source(&path, &own), own.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    let vercel = vercel();
    let rewritten: BTreeSet<(String, String)> = vercel["rewrites"]
        .as_array()
        .expect("rewrites")
        .iter()
        .map(|rewrite| {
            let text = |key: &str| rewrite[key].as_str().expect("a string").to_owned();
            (text("source"), text("destination"))
        })
        .collect();

    assert_eq!(rewritten, needed);
    for cron in vercel["crons"].as_array().into_iter().flatten() {
        let path = cron["path"].as_str().unwrap_or_default();
        let mut routes = FUNCTIONS.iter().flat_map(|function| function.routes);
        assert!(
            routes.any(|(route, _)| *route == path),
            "no function serves {path}"
        );
    }
}

/// Without a folder of its own for static files, Vercel publishes the sources as such.
#[test]
fn nothing_is_published_but_the_files_of_public() {
    let vercel = vercel();
    assert_eq!(vercel["outputDirectory"], "public");
    assert_eq!(
        (&vercel["framework"], &vercel["buildCommand"]),
        (&Value::Null, &Value::from(""))
    );
    let published: Vec<String> = files()
        .iter()
        .filter_map(|path| {
            Some(
                path.strip_prefix("public")
                    .ok()?
                    .to_string_lossy()
                    .into_owned(),
            )
        })
        .collect();

    assert_eq!(published, ["index.html", "robots.txt", "style.css"]);
    let page = text("public/index.html");
    assert!(page.contains(r#"href="/connect""#), "{page}");
}

/// Static files get headers from vercel.json; functions set their own.
#[test]
fn the_static_page_needs_nothing_that_its_policy_forbids() {
    let vercel = vercel();
    let rules = vercel["headers"].as_array().expect("headers");
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0]["source"], "/((?!api/|connect$).*)");
    let headers: BTreeMap<&str, &str> = rules[0]["headers"]
        .as_array()
        .expect("headers")
        .iter()
        .filter_map(|header| Some((header["key"].as_str()?, header["value"].as_str()?)))
        .collect();
    let policy = headers["Content-Security-Policy"];
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self';"),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(headers["X-Content-Type-Options"], "nosniff");
    let page = text("public/index.html");
    for forbidden in ["<script", "<style", "style=", "<img", "<form"] {
        assert!(
            !page.contains(forbidden),
            "public/index.html has {forbidden}"
        );
    }
}

/// `vercel build` reads it and fails where it is not.
#[test]
fn cargos_configuration_has_a_table_build() {
    let config: toml::Value = toml::from_str(&text(".cargo/config.toml")).expect("TOML");
    assert!(config.get("build").is_some_and(toml::Value::is_table));
}
