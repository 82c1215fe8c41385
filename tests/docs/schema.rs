//! The part of JSON Schema (2020-12) that `docs/openapi.json` uses. A keyword that is not
//! known here is an error, so none is passed over.

use serde_json::Value;

/// What of `value` does not fit the schema, each with its place; empty when all fits.
/// `document` is where `$ref` leads.
pub fn misfits(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, value, "", &mut found);
    found
}

/// What a `$ref` names, or the schema itself.
pub fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        None => schema,
        Some(reference) => {
            let pointer = reference.strip_prefix('#').unwrap_or_default();
            let target = document.pointer(pointer);
            target.unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
    }
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let schema = resolve(document, schema)
        .as_object()
        .unwrap_or_else(|| panic!("{at}: a schema is an object"));
    let mut wrong = |what: String| found.push(format!("{at}: {what}"));
    let mut inner: Vec<(&Value, &Value, String)> = Vec::new();

    for (keyword, rule) in schema {
        match keyword.as_str() {
            "type" if !has_type(rule, value) => wrong(format!("is {value}, not of type {rule}")),
            "const" if rule != value => wrong(format!("is {value}, not {rule}")),
            "enum" if !list(rule).contains(value) => wrong(format!("{value} is none of {rule}")),
            "minimum" if value.as_f64().is_some_and(|n| n < number(rule)) => {
                wrong(format!("{value} is below {rule}"));
            }
            "maximum" if value.as_f64().is_some_and(|n| n > number(rule)) => {
                wrong(format!("{value} is above {rule}"));
            }
            "minLength" if length(value).is_some_and(|n| n < number(rule)) => {
                wrong(format!("is shorter than {rule}"));
            }
            "maxLength" | "maxItems" if length(value).is_some_and(|n| n > number(rule)) => {
                wrong(format!("is longer than {rule}"));
            }
            "format" if !has_format(rule, value) => wrong(format!("{value} is no {rule}")),
            "required" => {
                let missing = list(rule)
                    .iter()
                    .filter_map(Value::as_str)
                    .filter(|name| value.is_object() && value.get(name).is_none());
                missing.for_each(|name| wrong(format!("{name} is missing")));
            }
            "properties" => {
                for (name, rule) in rule.as_object().expect("properties are an object") {
                    if let Some(member) = value.get(name) {
                        inner.push((rule, member, format!("{at}/{name}")));
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let others = value.as_object().into_iter().flatten().filter(|(name, _)| {
                    !known.is_some_and(|known| known.contains_key(name.as_str()))
                });
                for (name, member) in others {
                    match rule {
                        Value::Bool(true) => {}
                        Value::Bool(false) => wrong(format!("{name} is not in the document")),
                        rule => inner.push((rule, member, format!("{at}/{name}"))),
                    }
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    inner.push((rule, item, format!("{at}/{index}")));
                }
            }
            "oneOf" => {
                let fits = |rule: &&Value| misfits(document, rule, value).is_empty();
                let count = list(rule).iter().filter(fits).count();
                if count != 1 {
                    wrong(format!("fits {count} of the alternatives"));
                }
            }
            "type" | "const" | "enum" | "minimum" | "maximum" | "minLength" | "maxLength"
            | "maxItems" | "format" | "description" | "default" => {}
            unknown => panic!("{at}: the keyword {unknown} is not understood here"),
        }
    }
    for (rule, member, place) in inner {
        check(document, rule, member, &place, found);
    }
}

fn list(rule: &Value) -> &[Value] {
    rule.as_array().expect("a list")
}

fn number(rule: &Value) -> f64 {
    rule.as_f64().expect("a number")
}

/// Of a text in characters, of a list in items.
fn length(value: &Value) -> Option<f64> {
    let text = value.as_str().map(|text| text.chars().count());
    let length = text.or_else(|| value.as_array().map(Vec::len))?;
    Some(length as f64)
}

fn has_type(rule: &Value, value: &Value) -> bool {
    if let Value::Array(alternatives) = rule {
        return alternatives.iter().any(|rule| has_type(rule, value));
    }
    match rule.as_str().expect("a type's name") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other} is not understood here"),
    }
}

fn has_format(rule: &Value, value: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return true;
    };
    match rule.as_str().expect("a format's name") {
        "date-time" => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        "uri" => url::Url::parse(text).is_ok(),
        "uuid" => uuid::Uuid::parse_str(text).is_ok(),
        other => panic!("the format {other} is not understood here"),
    }
}

#[test]
fn values_that_do_not_fit_are_told_from_those_that_do() {
    use serde_json::json;
    let document = json!({"name": {"type": "string", "enum": ["a", "b"]}});
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"$ref": "#/name"},
            "at": {"type": ["string", "null"], "format": "date-time"},
            "list": {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": 2},
            "key": {"type": "string", "minLength": 1, "maxLength": 2},
        },
        "required": ["name"],
        "additionalProperties": false,
    });
    let count = |value| misfits(&document, &schema, &value).len();

    assert_eq!(count(json!({"name": "a", "at": null, "list": [1, 2]})), 0);
    for wrong in [
        json!({}),
        json!([]),
        json!({"name": "c"}),
        json!({"name": "a", "more": 1}),
        json!({"name": "a", "at": "yesterday"}),
        json!({"name": "a", "list": [1, 0]}),
        json!({"name": "a", "list": ["1"]}),
        json!({"name": "a", "list": [1, 2, 3]}),
        json!({"name": "a", "key": ""}),
        json!({"name": "a", "key": "äöü"}),
    ] {
        assert_eq!(count(wrong.clone()), 1, "{wrong}");
    }
}
