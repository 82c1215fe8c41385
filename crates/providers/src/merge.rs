//! How one definition is laid over another.

use serde_json::Value;

/// Lays `over` on `base` as RFC 7396 says: objects merge member by member,
/// `null` removes a member, everything else replaces what was there.
pub fn merge(base: &mut Value, over: Value) {
    let Value::Object(over) = over else {
        *base = over;
        return;
    };
    if !base.is_object() {
        *base = Value::Object(Default::default());
    }
    let Value::Object(base) = base else { return };
    for (name, value) in over {
        if value.is_null() {
            base.remove(&name);
        } else {
            merge(base.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut base: Value, over: Value) -> Value {
        merge(&mut base, over);
        base
    }

    #[test]
    fn objects_merge_to_any_depth() {
        assert_eq!(
            merged(
                json!({"a": {"b": 1, "c": 2}, "d": 3}),
                json!({"a": {"c": 4}})
            ),
            json!({"a": {"b": 1, "c": 4}, "d": 3})
        );
    }

    #[test]
    fn lists_are_replaced_whole() {
        assert_eq!(
            merged(json!({"a": [1, 2]}), json!({"a": [3]})),
            json!({"a": [3]})
        );
    }

    #[test]
    fn null_removes_a_member_at_any_depth() {
        assert_eq!(
            merged(
                json!({"a": {"b": 1, "c": 2}, "d": 3}),
                json!({"a": {"b": null}, "d": null})
            ),
            json!({"a": {"c": 2}})
        );
    }

    #[test]
    fn nulls_of_a_new_object_do_not_survive() {
        assert_eq!(
            merged(json!({}), json!({"a": {"b": null}})),
            json!({"a": {}})
        );
    }
}
