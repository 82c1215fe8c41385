//! `{name}` in endpoints: which values may stand there, and putting them in.

use std::collections::BTreeMap;

use crate::definition::{Definition, TemplateForm, TemplateParameter};

impl Definition {
    /// Puts the values of `parameters` into the issuer, the endpoints and `api_base`.
    ///
    /// Only after [`Definition::validate`] has passed: the values go in as they are.
    /// `parameters` is empty then, so that the result can be validated again, as
    /// it has to be when discovery adds to it.
    pub fn fill_templates(&mut self) {
        let parameters = std::mem::take(&mut self.parameters);
        for template in [
            &mut self.issuer,
            &mut self.authorization_endpoint,
            &mut self.token_endpoint,
            &mut self.revocation_endpoint,
            &mut self.userinfo_endpoint,
            &mut self.jwks_uri,
            &mut self.api_base,
        ]
        .into_iter()
        .flatten()
        {
            *template = fill(template, &parameters);
        }
    }
}

/// `template` with every known `{name}` replaced; one pass, so that a value
/// cannot bring a `{name}` of its own.
pub(crate) fn fill(template: &str, parameters: &BTreeMap<String, TemplateParameter>) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let known = after
            .split_once('}')
            .and_then(|(name, after)| Some((parameters.get(name)?, after)));
        match known {
            Some((parameter, after)) => {
                filled.push_str(&parameter.value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

/// The names in `{…}`, in order; `None` when the braces do not pair up.
pub(crate) fn placeholders(template: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (name, after) = rest[at..].strip_prefix('{')?.split_once('}')?;
        if name.is_empty() || name.contains('{') {
            return None;
        }
        names.push(name);
        rest = after;
    }
    Some(names)
}

/// What is wrong with a parameter: the member at fault and what to do.
pub(crate) fn fault(parameter: &TemplateParameter) -> Option<(&'static str, &'static str)> {
    let TemplateParameter {
        value,
        form,
        suffix,
    } = parameter;
    match (form, suffix) {
        (TemplateForm::Segment, Some(_)) => {
            Some(("suffix", "only the form `host` has a suffix: remove it"))
        }
        (TemplateForm::Segment, None) if !is_segment(value) => Some((
            "value",
            "use 1 to 128 letters, digits, `.` and `-`, and not only dots",
        )),
        (TemplateForm::Host, Some(suffix))
            if !suffix.strip_prefix('.').is_some_and(is_host_name) =>
        {
            Some(("suffix", "write a `.` and a host name in lower case"))
        }
        (TemplateForm::Host, _) if !is_host_name(value) => Some((
            "value",
            "write a host name of lower-case letters, digits, `.` and `-`",
        )),
        (TemplateForm::Host, Some(suffix)) if !value.ends_with(suffix) => {
            Some(("value", "write a host name that ends with the suffix"))
        }
        _ => None,
    }
}

/// A path segment of dots alone would be taken as "this" or "the parent".
fn is_segment(value: &str) -> bool {
    (1..=128).contains(&value.len())
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        && value.bytes().any(|b| b != b'.')
}

pub(crate) fn is_host_name(value: &str) -> bool {
    value.len() <= 253
        && value.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(value: &str, form: TemplateForm, suffix: Option<&str>) -> TemplateParameter {
        TemplateParameter {
            value: value.to_owned(),
            form,
            suffix: suffix.map(str::to_owned),
        }
    }

    fn shop(value: &str) -> Option<&'static str> {
        fault(&parameter(
            value,
            TemplateForm::Host,
            Some(".myshopify.com"),
        ))
        .map(|(field, _)| field)
    }

    fn segment(value: &str) -> Option<&'static str> {
        fault(&parameter(value, TemplateForm::Segment, None)).map(|(field, _)| field)
    }

    #[test]
    fn hosts_that_end_with_the_suffix_are_accepted() {
        assert_eq!(shop("a.myshopify.com"), None);
        assert_eq!(shop("a-1.myshopify.com"), None);
    }

    #[test]
    fn hosts_that_are_not_plain_host_names_are_refused() {
        for value in [
            "",
            "myshopify.com",
            ".myshopify.com",
            "evilmyshopify.com",
            "a.myshopify.com.",
            "a.myshopify.com@evil.test",
            "evil.test/#.myshopify.com",
            "evil.test/#",
            "evil.test/.myshopify.com",
            "evil.test?.myshopify.com",
            "x%2eevil.myshopify.com",
            "x%2eevil",
            "evil\u{3002}test.myshopify.com",
            "a\u{ff0e}myshopify.com",
            "a.myshopify.com\r\nHost: evil.test",
            "a\n.myshopify.com",
            "A.myshopify.com",
            "a..myshopify.com",
            "-a.myshopify.com",
            "a:80.myshopify.com",
            "evil.test\\.myshopify.com",
            " a.myshopify.com",
        ] {
            assert_eq!(shop(value), Some("value"), "{value:?}");
        }
    }

    #[test]
    fn a_suffix_begins_with_a_dot() {
        for suffix in ["myshopify.com", ".", "", ".my/shop"] {
            let parameter = parameter("a.myshopify.com", TemplateForm::Host, Some(suffix));
            assert_eq!(
                fault(&parameter).map(|(field, _)| field),
                Some("suffix"),
                "{suffix:?}"
            );
        }
    }

    #[test]
    fn a_segment_has_no_suffix() {
        let parameter = parameter("common", TemplateForm::Segment, Some(".test"));
        assert_eq!(fault(&parameter).map(|(field, _)| field), Some("suffix"));
    }

    #[test]
    fn segments_are_letters_digits_dots_and_hyphens() {
        assert_eq!(segment("common"), None);
        assert_eq!(segment("Contoso.onmicrosoft.com"), None);
        assert_eq!(segment("9188040d-6c67-4c5b-b112-36a304b66dad"), None);
    }

    #[test]
    fn segments_that_leave_their_place_are_refused() {
        for value in [
            "", ".", "..", "a/b", "a?b", "a#b", "a@b", "%2e%2e", "a\r\n", "ä", "{b}",
        ] {
            assert_eq!(segment(value), Some("value"), "{value:?}");
        }
        assert_eq!(segment(&"a".repeat(129)), Some("value"));
    }

    #[test]
    fn filling_replaces_known_names_once_and_leaves_the_rest() {
        let parameters = BTreeMap::from([
            (
                "a".to_owned(),
                parameter("{b}", TemplateForm::Segment, None),
            ),
            ("b".to_owned(), parameter("2", TemplateForm::Segment, None)),
        ]);

        assert_eq!(fill("/{a}/{b}/{c}/{", &parameters), "/{b}/2/{c}/{");
    }

    #[test]
    fn placeholders_are_listed_in_order() {
        assert_eq!(placeholders("https://{a}/x/{b}"), Some(vec!["a", "b"]));
        assert_eq!(placeholders("https://a/x"), Some(vec![]));
    }

    #[test]
    fn braces_that_do_not_pair_up_are_found() {
        for template in ["{a", "a}", "{}", "{a{b}}", "}a{"] {
            assert_eq!(placeholders(template), None, "{template:?}");
        }
    }
}
