//! The project's files, and `docs/openapi.json` read.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// What builds and tools leave behind, and git's own.
const NOT_OURS: [&str; 13] = [
    ".git",
    "target",
    "node_modules",
    "dist",
    ".vercel",
    ".aws-sam",
    ".tools",
    ".venv",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".idea",
];

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the project")
}

/// A route's path as OpenAPI writes it, which knows no catch-all.
pub fn documented(route: &str) -> String {
    route.replace("{*", "{")
}

/// A file's text, by its path from the root.
pub fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `docs/openapi.json`.
pub fn openapi() -> Value {
    serde_json::from_str(&text("docs/openapi.json")).expect("docs/openapi.json is JSON")
}

/// Every file that belongs to the project, by its path from the root.
pub fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the project") {
            let entry = entry.expect("an entry");
            let name = entry.file_name();
            if NOT_OURS.iter().any(|other| name == *other) {
                continue;
            }
            match entry.file_type().expect("a type").is_dir() {
                true => folders.push(entry.path()),
                false => files.push(
                    entry
                        .path()
                        .strip_prefix(root())
                        .expect("below the root")
                        .to_owned(),
                ),
            }
        }
    }
    files.sort();
    files
}
