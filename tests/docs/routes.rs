//! One list of functions: `routes::FUNCTIONS`, `Cargo.toml`, `api/` and
//! `docs/openapi.json` name the same ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use grantkeep_functions::routes::FUNCTIONS;
use serde_json::Value;

use crate::deploy::serves;
use crate::project::{documented, files, openapi, text};

const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

#[test]
fn the_document_has_every_path_and_method_and_no_other() {
    let served: BTreeSet<(String, String)> = FUNCTIONS
        .iter()
        .flat_map(|function| function.routes)
        .flat_map(|(path, methods)| methods.iter().map(|m| (documented(path), (*m).to_owned())))
        .collect();
    let document = openapi();
    let paths = document["paths"].as_object().expect("paths");
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, item)| {
            let item = item.as_object().expect("a path item");
            item.keys()
                .filter(|key| METHODS.contains(&key.as_str()))
                .map(|method| (path.clone(), method.to_ascii_uppercase()))
        })
        .collect();

    assert_eq!(described, served);
}

#[test]
fn every_parameter_of_a_path_is_described() {
    let document = openapi();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let named: BTreeSet<&str> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        for (method, operation) in item.as_object().expect("a path item") {
            let parameters = operation["parameters"]
                .as_array()
                .map_or(&[][..], Vec::as_slice);
            let described: BTreeSet<&str> = parameters
                .iter()
                .map(|parameter| crate::schema::resolve(&document, parameter))
                .filter(|parameter| parameter["in"] == "path")
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(described, named, "{method} {path}");
        }
    }
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = openapi();
    let names: Vec<&Value> = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|item| item.as_object().expect("a path item").values())
        .map(|operation| &operation["operationId"])
        .collect();
    let different: BTreeSet<&str> = names.iter().filter_map(|name| name.as_str()).collect();

    assert_eq!(different.len(), names.len());
}

#[test]
fn every_file_of_api_is_a_binary_of_a_function_and_the_other_way_round() {
    let manifest: toml::Value = toml::from_str(&text("Cargo.toml")).expect("Cargo.toml");
    let binaries: BTreeMap<String, String> = manifest["bin"]
        .as_array()
        .expect("[[bin]]")
        .iter()
        .map(|bin| {
            let text = |key: &str| bin[key].as_str().expect("a string").to_owned();
            (text("path"), text("name"))
        })
        .collect();
    let sources: BTreeSet<String> = files()
        .iter()
        .filter(|path| path.starts_with("api") && path.extension().is_some_and(|e| e == "rs"))
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    let names: BTreeSet<&str> = binaries.values().map(String::as_str).collect();
    let functions: BTreeSet<&str> = FUNCTIONS.iter().map(|function| function.name).collect();

    assert_eq!(binaries.keys().cloned().collect::<BTreeSet<_>>(), sources);
    assert_eq!(names, functions);
}

/// On Vercel the path of a file is the path of its function, or the beginning of the paths
/// that are rewritten to it.
#[test]
fn every_file_of_api_lies_where_its_functions_path_says() {
    let manifest: toml::Value = toml::from_str(&text("Cargo.toml")).expect("Cargo.toml");
    for bin in manifest["bin"].as_array().expect("[[bin]]") {
        let (name, path) = (bin["name"].as_str(), bin["path"].as_str());
        let function = FUNCTIONS
            .iter()
            .find(|function| Some(function.name) == name)
            .unwrap_or_else(|| panic!("no function {name:?}"));
        let public = Path::new("/")
            .join(path.expect("path"))
            .with_extension("")
            .to_string_lossy()
            .replace('[', "{")
            .replace(']', "}");

        let below = format!("{public}/");
        let leads = |path: &str| match path.contains("{*") {
            true => path.starts_with(&below),
            false => serves(&public, path),
        };
        assert!(
            function.routes.iter().any(|(path, _)| leads(path)),
            "{public} is none of the paths of {}",
            function.name
        );
    }
}
