//! From definition files to JSON: families laid under, and what is meant for
//! readers only (where it was read, and when) demanded and taken out.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::merge::merge;

/// Texts of the `.toml` files of one directory, by file stem.
pub type Files = BTreeMap<String, String>;

/// Every provider with its merged definition, by name; else every fault,
/// each with its file.
pub fn load(providers: &Files, families: &Files) -> Result<BTreeMap<String, Value>, Vec<String>> {
    let mut loaded = BTreeMap::new();
    let mut faults = Vec::new();

    let mut bases = BTreeMap::new();
    for (name, text) in families {
        match parse(text) {
            Ok((None, family)) => {
                bases.insert(name.as_str(), family);
            }
            Ok((Some(_), _)) => {
                faults.push(format!(
                    "definitions/families/{name}.toml: extends: a family extends nothing"
                ));
            }
            Err(fault) => faults.push(format!("definitions/families/{name}.toml: {fault}")),
        }
    }
    for (name, text) in providers {
        let merged = parse(text).and_then(|(extends, definition)| {
            let Some(family) = extends else {
                return Ok(definition);
            };
            let base = bases.get(family.as_str());
            let mut merged = base
                .ok_or(format!("extends: no usable families/{family}.toml"))?
                .clone();
            merge(&mut merged, definition);
            Ok(merged)
        });
        match merged {
            Ok(definition) => {
                loaded.insert(name.clone(), definition);
            }
            Err(fault) => faults.push(format!("definitions/{name}.toml: {fault}")),
        }
    }
    if faults.is_empty() {
        Ok(loaded)
    } else {
        Err(faults)
    }
}

fn parse(text: &str) -> Result<(Option<String>, Value), String> {
    let mut table: toml::Table = text.parse().map_err(|error| format!("not TOML: {error}"))?;
    let is_url = |value: &toml::Value| {
        value
            .as_str()
            .is_some_and(|url| url.starts_with("https://"))
    };
    match table.remove("docs") {
        Some(toml::Value::Array(urls)) if !urls.is_empty() && urls.iter().all(is_url) => {}
        Some(url) if is_url(&url) => {}
        _ => return Err("docs: name the https pages that the lines were read on".to_owned()),
    }
    match table.remove("checked") {
        Some(toml::Value::Datetime(toml::value::Datetime {
            date: Some(_),
            time: None,
            ..
        })) => {}
        _ => return Err("checked: write the date they were read, such as 2026-01-31".to_owned()),
    }
    let extends = match table.remove("extends") {
        None => None,
        Some(toml::Value::String(family)) => Some(family),
        Some(_) => return Err("extends: write the stem of a file in families/".to_owned()),
    };
    let json = serde_json::to_value(table).map_err(|error| error.to_string())?;
    Ok((extends, json))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const READ: &str = "docs = 'https://acme.example/docs'\nchecked = 2026-01-31\n";

    fn files(files: &[(&str, &str)]) -> Files {
        files
            .iter()
            .map(|(name, text)| (name.to_string(), text.to_string()))
            .collect()
    }

    fn read(text: &str) -> String {
        format!("{READ}{text}")
    }

    #[test]
    fn a_provider_is_laid_over_its_family() {
        let family = read("family = 'acme'\nscopes = ['a']\n[account]\nid = '/sub'\nlabel = '/x'");
        let provider = read("extends = 'acme'\nscopes = ['b']\n[account]\nlabel = '/email'");

        let loaded = load(
            &files(&[("files", &provider)]),
            &files(&[("acme", &family)]),
        );

        assert_eq!(
            loaded.expect("valid")["files"],
            json!({"family": "acme", "scopes": ["b"], "account": {"id": "/sub", "label": "/email"}})
        );
    }

    #[test]
    fn where_and_when_are_demanded_in_every_file() {
        let families = files(&[("acme", "docs = ['https://acme.example']")]);
        let providers = files(&[
            ("a", "checked = 2026-01-31"),
            ("b", "docs = []\nchecked = 2026-01-31"),
            ("c", "docs = 'https://acme.example'\nchecked = '2026-01-31'"),
            ("d", "docs = ['acme.example']\nchecked = 2026-01-31"),
        ]);

        let faults = load(&providers, &families).expect_err("nothing is complete");

        let begins = [
            "definitions/families/acme.toml: checked: ",
            "definitions/a.toml: docs: ",
            "definitions/b.toml: docs: ",
            "definitions/c.toml: checked: ",
            "definitions/d.toml: docs: ",
        ];
        assert_eq!(faults.len(), begins.len(), "{faults:?}");
        for (fault, begin) in faults.iter().zip(begins) {
            assert!(fault.starts_with(begin), "{fault}");
        }
    }

    #[test]
    fn a_family_that_is_not_there_is_named() {
        let provider = read("extends = 'acme'");

        let faults = load(&files(&[("files", &provider)]), &Files::new());

        assert_eq!(
            faults.expect_err("no family"),
            ["definitions/files.toml: extends: no usable families/acme.toml"]
        );
    }

    #[test]
    fn families_do_not_extend_families() {
        let faults = load(&Files::new(), &files(&[("a", &read("extends = 'b'"))]));

        assert_eq!(
            faults.expect_err("extends"),
            ["definitions/families/a.toml: extends: a family extends nothing"]
        );
    }

    #[test]
    fn text_that_is_not_toml_names_its_file() {
        let faults = load(&files(&[("a", "scopes = [")]), &Files::new()).expect_err("not TOML");

        assert!(
            faults[0].starts_with("definitions/a.toml: not TOML: "),
            "{faults:?}"
        );
    }
}
