//! The Markdown pages: codes, variables, examples, links, and nothing of anybody's machine.

use std::collections::BTreeSet;

use grantkeep_core::secret::SessionToken;
use grantkeep_core::service_key::{Permission, ServiceKeys};
use grantkeep_core::session::SessionKey;
use serde_json::Value;

use crate::project::{files, openapi, root, text};
use crate::schema::misfits;

/// `"code", S::` in the one `match` that gives every code its status.
fn codes() -> BTreeSet<String> {
    let source = text("crates/functions/src/problem.rs");
    let compact: String = source.split_whitespace().collect();
    compact
        .split("\",S::")
        .filter_map(|before| before.rsplit_once('"'))
        .map(|(_, code)| code.to_owned())
        .filter(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        .collect()
}

#[test]
fn every_problem_code_is_in_both_documents() {
    let codes = codes();
    assert!(
        codes.contains("reauthorization_required") && codes.len() > 10,
        "{codes:?}"
    );
    let document = openapi();
    let listed: BTreeSet<String> =
        document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
            .as_array()
            .expect("an enum")
            .iter()
            .filter_map(|code| code.as_str().map(str::to_owned))
            .collect();
    let page = text("docs/api.md");

    assert_eq!(listed, codes);
    for code in codes {
        assert!(
            page.contains(&format!("\n| `{code}` | ")),
            "docs/api.md: {code}"
        );
    }
}

/// What a source file quotes whole, of lower-case letters, `_` and dots, after `prefix`.
fn quoted_names<'a>(source: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    source.match_indices(prefix).filter_map(|(at, _)| {
        let quote = source[..at].chars().next_back()?;
        let rest = &source[at..];
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || matches!(c, '.' | '_')))?;
        let closed = rest[end..].starts_with(quote) && matches!(quote, '"' | '\'');
        closed.then(|| &rest[..end])
    })
}

#[test]
fn every_event_that_is_written_is_in_the_reference() {
    let page = text("docs/api.md");
    let mut count = 0;
    for path in files() {
        if !path.starts_with("crates/core/src") {
            continue;
        }
        let source = text(&path.to_string_lossy());
        for event in ["connection.", "callback.", "provider."]
            .into_iter()
            .flat_map(|prefix| quoted_names(&source, prefix))
        {
            count += 1;
            assert!(
                page.contains(&format!("\n| `{event}` | ")),
                "docs/api.md: {event}"
            );
        }
    }
    assert!(count > 5, "only {count} events were found");
}

/// Words in capitals that a source file quotes: the variables that it reads.
fn quoted_capitals(path: &str) -> BTreeSet<String> {
    let source = text(path);
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    code.split('"')
        .skip(1)
        .step_by(2)
        .filter(|word| word.len() > 3 && word.starts_with(|c: char| c.is_ascii_uppercase()))
        .filter(|word| {
            word.bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        })
        .map(str::to_owned)
        .collect()
}

/// The files that look variables up.
const READERS: [&str; 5] = [
    "crates/core/src/kms.rs",
    "crates/core/src/settings.rs",
    "crates/core/src/settings/sessions.rs",
    "crates/functions/src/log.rs",
    "crates/runtime/src/host.rs",
];

#[test]
fn every_variable_that_is_read_is_in_the_reference_and_the_other_way_round() {
    let read: BTreeSet<String> = READERS
        .iter()
        .flat_map(|path| quoted_capitals(path))
        .collect();
    assert!(
        read.contains("DATABASE_CA_CERT") && read.contains("LOG_LEVEL") && read.contains("PORT")
    );
    let page = text("docs/api.md");
    for variable in &read {
        assert!(
            page.contains(&format!("`{variable}`")),
            "docs/api.md: {variable}"
        );
    }
    for built_in in grantkeep_providers::BUILT_IN {
        let definition: Value = serde_json::from_str(built_in.json).expect("a definition");
        for name in [Some(built_in.name), definition["family"].as_str()]
            .into_iter()
            .flatten()
        {
            let variable = format!("`{}_CLIENT_ID`", name.to_ascii_uppercase());
            assert!(page.contains(&variable), "docs/api.md: {variable}");
        }
    }

    // First column of the tables of settings.
    let settings = page
        .split("\n## Settings")
        .nth(1)
        .expect("a section on settings");
    let settings = settings.split("\n## ").next().unwrap_or_default();
    let documented = settings
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('|').next())
        .flat_map(|cell| cell.split('`'))
        .filter(|word| word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && word.len() > 3)
        .filter(|word| !word.contains("_CLIENT_"));
    for variable in documented {
        assert!(read.contains(variable), "nobody reads {variable}");
    }
}

/// Every `example` of the document, and every block of docs/api.md that names a schema
/// (three backticks, `json`, its name).
#[test]
fn every_example_fits_its_schema() {
    let document = openapi();
    let mut count = 0;
    let mut fits = |schema: &Value, value: &Value, place: &str| {
        count += 1;
        let found = misfits(&document, schema, value);
        assert!(found.is_empty(), "{place}: {found:?}");
    };
    let mut waiting = vec![&document];
    while let Some(node) = waiting.pop() {
        if let (Some(schema), Some(example)) = (node.get("schema"), node.get("example")) {
            fits(schema, example, "docs/openapi.json");
        }
        if let (Some(schema), Some(Value::Object(examples))) =
            (node.get("schema"), node.get("examples"))
        {
            for (name, example) in examples {
                fits(
                    schema,
                    &example["value"],
                    &format!("docs/openapi.json: {name}"),
                );
            }
        }
        match node {
            Value::Object(members) => waiting.extend(members.values()),
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    for block in text("docs/api.md").split("\n```json").skip(1) {
        let (name, rest) = block.split_once('\n').expect("a block");
        let example = rest.split("\n```").next().unwrap_or_default();
        let value: Value = serde_json::from_str(example)
            .unwrap_or_else(|error| panic!("docs/api.md: {error} in\n{example}"));
        if let Some(schema) = document["components"]["schemas"].get(name.trim()) {
            fits(schema, &value, &format!("docs/api.md: {name}"));
        } else {
            assert_eq!(name, "", "docs/api.md: there is no schema{name}");
        }
    }
    assert!(count > 15, "only {count} examples were found");
}

/// A shell block of docs/api.md that has `word` in it, run; its output.
fn run_block(word: &str, environment: &[(&str, &str)]) -> String {
    let page = text("docs/api.md");
    let block = page
        .split("\n```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .find(|block| block.contains(word))
        .unwrap_or_else(|| panic!("no shell block with {word}"));
    let output = std::process::Command::new("sh")
        .args(["-ec", block])
        .envs(environment.iter().copied())
        .output()
        .expect("a shell");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_shell_lines_make_a_service_key_that_works() {
    let printed = run_block("sha256sum", &[]);
    let words: Vec<&str> = printed.split_whitespace().collect();
    let key = words
        .iter()
        .find(|word| word.starts_with("gk_"))
        .expect("a key");
    let keys = ServiceKeys::parse(words.last().expect("an entry")).expect("an entry");

    let found = keys.find(key).expect("the key is the one of the entry");
    assert!(found.permits(Permission::Read) && found.reaches("acme") && !found.reaches("other"));
}

#[test]
fn the_shell_lines_sign_a_session_that_is_accepted() {
    let secret = "a-session-secret-that-only-tests-use-0001";
    let printed = run_block("openssl dgst", &[("SESSION_SECRET", secret)]);
    let token = SessionToken::new(printed.trim());

    let session = SessionKey::new(secret)
        .expect("long enough")
        .verify(&token, chrono::Utc::now())
        .expect("a session");
    assert_eq!(
        (
            session.owner.workspace.as_str(),
            session.owner.actor.as_str()
        ),
        ("acme", "user-42")
    );
}

/// Ids such as `ST-01` in the first column of a table.
fn checks(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|cell| cell.split(", "))
        .filter(|id| id.len() == 5 && id.as_bytes()[2] == b'-')
        .map(|id| id.replace('-', "").to_ascii_lowercase())
        .collect()
}

#[test]
fn every_check_of_the_security_page_has_a_test_of_its_name() {
    let checks = checks(&text("SECURITY.md"));
    assert!(checks.contains("st01") && checks.len() > 30, "{checks:?}");
    let sources: Vec<String> = files()
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| text(&path.to_string_lossy()))
        .collect();
    let without: Vec<&String> = checks
        .iter()
        .filter(|id| {
            let function = format!("fn {id}_");
            !sources.iter().any(|source| source.contains(&function))
        })
        .collect();

    assert!(without.is_empty(), "no test begins with {without:?}");
}

/// Targets of Markdown links outside code blocks.
fn links(markdown: &str) -> Vec<String> {
    let prose = markdown.split("```").step_by(2);
    prose
        .flat_map(|text| text.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_link_between_pages_leads_to_a_file_and_a_heading() {
    let mut count = 0;
    for page in files() {
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        for link in links(&text(&page.to_string_lossy())) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => root().join(&page),
                file => root().join(&page).with_file_name("").join(file),
            };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if heading.is_empty() {
                continue;
            }
            let markdown = std::fs::read_to_string(&target).expect("a page");
            let found = markdown
                .lines()
                .filter(|line| line.starts_with('#'))
                .any(|line| anchor(line.trim_start_matches('#')) == heading);
            assert!(found, "{}: {link} names no heading", page.display());
        }
    }
    assert!(count > 10, "only {count} links were found");
}

/// Written in two parts, so that this file does not hold them.
const OF_A_MACHINE: [(&str, &str); 8] = [
    ("/ro", "ot/"),
    ("/wo", "rk/"),
    ("/ho", "me/"),
    ("/Us", "ers/"),
    ("crates", ".io/"),
    ("npmjs", ".org"),
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
];

#[test]
fn no_file_names_a_place_on_a_machine_or_the_host_of_a_registry() {
    for path in files() {
        // Cargo writes where its packages are from.
        if path.ends_with("Cargo.lock") {
            continue;
        }
        let Ok(content) = std::fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for (one, two) in OF_A_MACHINE {
            let name = format!("{one}{two}");
            assert!(!content.contains(&name), "{} holds {name}", path.display());
        }
    }
}
