//! The token store of Google's Ruby library: a YAML map from user to JSON text. Read event
//! by event, so that nothing but such a map gets anywhere, aliases least of all.

use yaml_rust2::parser::{Event, Parser};

/// `(user, JSON)` of every entry; `None` for anything but a map of texts.
pub fn entries(text: &str) -> Option<Vec<(String, String)>> {
    let mut parser = Parser::new_from_str(text);
    let mut next = || parser.next_token().ok().map(|(event, _)| event);
    let mut entries = Vec::new();
    let begins = matches!(next()?, Event::StreamStart)
        && matches!(next()?, Event::DocumentStart)
        && matches!(next()?, Event::MappingStart(..));
    if !begins {
        return None;
    }
    loop {
        match (next()?, &mut next) {
            (Event::MappingEnd, _) => break,
            (Event::Scalar(user, ..), next) if !user.is_empty() => match next()? {
                Event::Scalar(json, ..) => entries.push((user, json)),
                _ => return None,
            },
            _ => return None,
        }
    }
    let ends = matches!(next()?, Event::DocumentEnd) && matches!(next()?, Event::StreamEnd);
    ends.then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_has_an_entry() {
        let text = "---\ndefault: '{\"client_id\":\"c\",\"refresh_token\":\"r\"}'\nb: \"{}\"\n";

        let entries = entries(text).expect("a map");

        assert_eq!(entries[0].0, "default");
        assert_eq!(
            entries[0].1,
            "{\"client_id\":\"c\",\"refresh_token\":\"r\"}"
        );
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "---\n- a\n",
            "---\na: [b]\n",
            "---\na: &x b\nc: *x\n",
            "---\na: b\n---\nc: d\n",
            "---\na: b\n? ",
            "a",
            "---\n\"",
        ] {
            assert_eq!(entries(text), None, "{text}");
        }
    }
}
