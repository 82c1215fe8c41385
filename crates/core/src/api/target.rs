//! Where a call of a provider's API goes: a path below the provider's own address, or below
//! one of its further hosts. Nothing that a caller writes can lead elsewhere.

use grantkeep_providers::Definition;
use percent_encoding::percent_decode_str;
use url::Url;

/// Longest path with its query, in bytes; providers' own limits are at 8 to 16 KiB.
const MAX_TARGET: usize = 16 * 1024;

/// Why a call goes nowhere. The message says what to change.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// The definition has no `api_base`.
    #[error("has no api_base: add it to its entry in OAUTH_PROVIDERS")]
    NoApi,
    /// The host is none of the provider's.
    #[error("is not the host of the provider's api_base, nor one of its api_hosts")]
    Host,
    /// The path could be read as leading elsewhere, or cannot be sent.
    #[error("{0}")]
    Path(&'static str),
}

/// The address of `path`, which is relative and percent-encoded, with `query` as it is:
/// below `api_base`, or at the root of `host` where one is named.
pub fn target(
    definition: &Definition,
    host: Option<&str>,
    path: &str,
    query: Option<&str>,
) -> Result<Url, TargetError> {
    let base = definition.api_base.as_deref().ok_or(TargetError::NoApi)?;
    let base = Url::parse(base).map_err(|_| TargetError::NoApi)?;
    let base = match host {
        Some(host) => other_host(definition, &base, host)?,
        None => base,
    };
    if path.len() + query.map_or(0, str::len) > MAX_TARGET {
        return Err(TargetError::Path("is longer than 16 KiB with its query"));
    }
    check(path)?;

    let prefix = base.path().trim_end_matches('/');
    let wanted = format!("{prefix}/{path}");
    let mut target = base.clone();
    target.set_path(&wanted);
    target.set_query(query.filter(|query| !query.is_empty()));
    target.set_fragment(None);
    // The parser may have an opinion of its own on what was checked above.
    let same_place = target.scheme() == base.scheme()
        && target.host() == base.host()
        && target.port() == base.port()
        && target.username().is_empty()
        && target.password().is_none();
    match same_place && target.path() == wanted {
        true => Ok(target),
        false => Err(TargetError::Path(
            "has characters that must be percent-encoded",
        )),
    }
}

/// The root of a further host of the provider.
fn other_host(definition: &Definition, base: &Url, host: &str) -> Result<Url, TargetError> {
    let own = base.host_str() == Some(host) && base.port().is_none();
    if !own && !definition.api_hosts.iter().any(|known| known == host) {
        return Err(TargetError::Host);
    }
    Url::parse(&format!("https://{host}/")).map_err(|_| TargetError::Host)
}

/// Refuses what some server, proxy or parser on the way could read as another host or as a
/// step up, however often it is encoded.
fn check(path: &str) -> Result<(), TargetError> {
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains(['?', '#']) {
        return Err(TargetError::Path(
            "has characters that must be percent-encoded",
        ));
    }
    let mut text = path.to_owned();
    loop {
        check_once(&text)?;
        let decoded = percent_decode_str(&text)
            .decode_utf8()
            .map_err(|_| TargetError::Path("is not UTF-8"))?
            .into_owned();
        if decoded == text {
            return Ok(());
        }
        text = decoded;
    }
}

fn check_once(path: &str) -> Result<(), TargetError> {
    if path.contains('\\') || path.contains(|c: char| c.is_control()) {
        return Err(TargetError::Path(
            "must have no backslash and no control character",
        ));
    }
    let mut segments = path.split('/').peekable();
    let first = segments.peek().copied().unwrap_or_default();
    // `@`, or a colon with nothing or a port after it, right behind a host would be part of it.
    let port = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
    if first.contains('@')
        || first
            .split_once(':')
            .is_some_and(|(name, rest)| name.is_empty() || port(rest))
    {
        return Err(TargetError::Path("must not begin with a user or a port"));
    }
    while let Some(segment) = segments.next() {
        // A slash at the end is some APIs' way to write a collection.
        if segment.is_empty() && (segments.peek().is_some() || path.is_empty()) {
            return Err(TargetError::Path("must have no empty part"));
        }
        if segment == "." || segment == ".." || segment.starts_with("..;") {
            return Err(TargetError::Path("must have no step up"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn definition() -> Definition {
        serde_json::from_value(json!({
            "display_name": "Test",
            "api_base": "https://api.example/calendar/v3",
            "api_hosts": ["people.example"],
        }))
        .expect("definition")
    }

    fn to(path: &str) -> Result<String, TargetError> {
        target(&definition(), None, path, None).map(String::from)
    }

    #[test]
    fn px01_a_path_stays_below_the_base_as_it_was_written() {
        for path in [
            "calendars/primary/events",
            "calendars/alice@example.com/events",
            "calendars/a%40b.example/events/",
            "projects/group%2Fname",
            "people:batchGet",
            "files/caf%C3%A9%20%25",
            "a/b;c=d,e/(f)*!$&'+=~_-.",
            "...",
        ] {
            let wanted = format!("https://api.example/calendar/v3/{path}");
            assert_eq!(to(path), Ok(wanted));
        }
    }

    #[test]
    fn px01_what_could_lead_elsewhere_is_refused() {
        for path in [
            "",
            "/evil.test",
            "/evil.test/x",
            "//evil.test",
            "@evil.test",
            "@evil.test/x",
            "user:pass@evil.test",
            "user%40evil.test",
            "%40evil.test",
            "\\evil.test",
            "%5cevil.test",
            "a\\..\\b",
            "..",
            "../x",
            "a/../../x",
            "..%2f",
            "..%2Fx",
            "%2e%2e/x",
            "%2e%2e%2fx",
            "%252e%252e%252fx",
            "%25252e%25252e/x",
            "a/./b",
            "..;/x",
            "https://evil.test/",
            "https:%2f%2fevil.test",
            "https:",
            "a//b",
            "a%2f%2fb",
            "%00",
            "a%00b",
            "a%2500b",
            "a%0d%0aHost:%20evil",
            "a\tb",
            ":443/x",
            ":8080",
            "evil.test:443/x",
            "a?b=c",
            "a#b",
            "a b",
            "caf\u{e9}",
            "%ff",
        ] {
            assert!(matches!(to(path), Err(TargetError::Path(_))), "{path}");
        }
        let long = "a/".repeat(9000);
        assert!(matches!(to(&long), Err(TargetError::Path(_))));
    }

    #[test]
    fn px01_another_host_is_one_that_the_definition_names() {
        let at = |host| target(&definition(), Some(host), "v1/people:batchGet", Some("x=1"));

        assert_eq!(
            at("people.example").map(String::from),
            Ok("https://people.example/v1/people:batchGet?x=1".to_owned())
        );
        assert_eq!(
            at("api.example").map(String::from),
            Ok("https://api.example/v1/people:batchGet?x=1".to_owned())
        );
        for host in [
            "evil.test",
            "people.example:444",
            "x@people.example",
            "",
            "PEOPLE.example",
        ] {
            assert_eq!(at(host), Err(TargetError::Host), "{host}");
        }
    }

    #[test]
    fn a_query_is_passed_on_byte_by_byte() {
        let query = "q=from:a@b%20c&x=../..&y=//z&empty=&path=a%2Fb";
        let url = target(&definition(), None, "a", Some(query)).expect("a target");

        assert_eq!(url.query(), Some(query));
    }

    #[test]
    fn a_provider_without_an_api_is_named_as_such() {
        let none = serde_json::from_value(json!({"display_name": "Test"})).expect("definition");

        assert_eq!(target(&none, None, "a", None), Err(TargetError::NoApi));
    }
}
