//! CHECKPOINT.md names tests that exist.

use crate::project::{root, text};

/// What stands between backticks in the second column of the tables.
fn named(page: &str) -> Vec<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| ")?.rsplit("| ").next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| name.contains("::"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_test_that_the_checkpoint_names_exists() {
    let names = named(&text("CHECKPOINT.md"));

    assert!(names.len() > 50, "{names:?}");
    let missing: Vec<&String> = names.iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Whether `target::file::test` is a test of that file of `tests/`.
fn exists(name: &str) -> bool {
    let Some((module, test)) = name.rsplit_once("::") else {
        return false;
    };
    let path = root().join("tests").join(module.replace("::", "/"));
    let Ok(source) = std::fs::read_to_string(path.with_extension("rs")) else {
        return false;
    };
    let declaration = format!("fn {test}()");
    source.match_indices(&declaration).any(|(at, _)| {
        let before = &source[..at];
        let attributes = before.rsplit("\n\n").next().unwrap_or_default();
        attributes.contains("#[test]") || attributes.contains("#[tokio::test")
    })
}
