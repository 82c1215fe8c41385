//! `docs/providers.md` says what is true: its examples work, its tables are complete.

use serde_json::{Value, json};

use super::*;

const PAGE: &str = include_str!("../../../docs/providers.md");

/// The JSON examples of the page, in order.
fn examples() -> Vec<Value> {
    let blocks = PAGE.split("```json\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap_or_default())
        .map(|block| serde_json::from_str(block).expect("an example is JSON"))
        .collect()
}

/// Names of the members of whatever `json` fails on, as serde lists them.
fn members(json: Value) -> Vec<String> {
    let error = serde_json::from_value::<Definition>(json).expect_err("an unknown member");
    let error = error.to_string();
    let listed = error.split_once("expected one of ").expect("a list").1;
    listed
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_example_is_a_valid_setting() {
    let mut count = 0;
    for (name, over) in examples().iter().filter_map(Value::as_object).flatten() {
        let built_in = BUILT_IN.iter().find(|built_in| built_in.name == name);
        let mut json =
            built_in.map_or(json!({}), |it| serde_json::from_str(it.json).expect("JSON"));
        merge(&mut json, over.clone());

        let definition = Definition::from_json(name, json).expect(name);

        assert_eq!(definition.validate(name), Ok(()), "{name}");
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn every_member_has_a_row() {
    let nested = ["scope_rules", "revocation", "account", "mail"];

    let mut rows = members(json!({"?": 0}));
    rows.retain(|member| !nested.contains(&member.as_str()));
    for member in nested {
        let inner = members(json!({"display_name": "", member: {"?": 0}}));
        rows.extend(inner.iter().map(|inner| format!("{member}.{inner}")));
    }
    rows.extend(members(
        json!({"display_name": "", "parameters": {"a": {"?": 0}}}),
    ));

    assert!(rows.len() > 50, "{rows:?}");
    for row in rows {
        assert!(PAGE.contains(&format!("\n| `{row}` |")), "no row for {row}");
    }
}
