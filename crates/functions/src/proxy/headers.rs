//! Which headers pass through, in each direction.

use axum::http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, EXPIRES,
    FORWARDED, HOST, HeaderName, PRAGMA, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, VIA, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, Method};

/// Ours: what steers the call, and what marks our own errors.
pub const OURS: &str = "x-grantkeep-";

/// Between two neighbours only (RFC 9110 section 7.6.1), beside what `Connection` names.
const HOP_BY_HOP: [HeaderName; 5] = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
const HOP_BY_HOP_PREFIXES: [&str; 3] = ["proxy-", "keep-alive", "http2-settings"];

/// What the caller says to us or about itself, and what this client sets.
const OF_THE_CALLER: [HeaderName; 7] = [
    AUTHORIZATION,
    COOKIE,
    HOST,
    CONTENT_LENGTH,
    EXPECT,
    FORWARDED,
    VIA,
];
/// What platforms and proxies add on the way in.
const OF_THE_WAY_IN: [&str; 9] = [
    OURS,
    "x-forwarded-",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "x-vercel-",
    "x-amzn-",
    "cf-",
    "cdn-loop",
];

/// What an API says to its own clients: about its cookies and logins, about our origin, and
/// about caches, where nothing that a token opened belongs.
const OF_THE_API: [HeaderName; 8] = [
    SET_COOKIE,
    WWW_AUTHENTICATE,
    CACHE_CONTROL,
    PRAGMA,
    EXPIRES,
    AGE,
    STRICT_TRANSPORT_SECURITY,
    VIA,
];
const OF_ITS_ORIGIN: [&str; 7] = [
    OURS,
    "access-control-",
    "alt-svc",
    "clear-site-data",
    "nel",
    "report-to",
    "set-cookie2",
];

/// The caller's headers without those that are not for the API.
pub fn to_api(headers: &HeaderMap) -> HeaderMap {
    passing(headers, &OF_THE_CALLER, &OF_THE_WAY_IN)
}

/// The API's headers without those that are not for the caller. The length is said by the
/// body that passes, but for an answer to `HEAD`, which has none.
pub fn to_caller(headers: &HeaderMap, method: &Method) -> HeaderMap {
    let mut passed = passing(headers, &OF_THE_API, &OF_ITS_ORIGIN);
    if method != Method::HEAD {
        passed.remove(CONTENT_LENGTH);
    }
    passed
}

fn passing(headers: &HeaderMap, dropped: &[HeaderName], prefixes: &[&str]) -> HeaderMap {
    let listed: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let stays = |name: &HeaderName| {
        let text = name.as_str();
        let begins = |prefix: &&str| text.starts_with(*prefix);
        !HOP_BY_HOP.contains(name)
            && !HOP_BY_HOP_PREFIXES.iter().any(begins)
            && !dropped.contains(name)
            && !prefixes.iter().any(begins)
            && !listed.iter().any(|listed| listed == text)
    };
    headers
        .iter()
        .filter(|(name, _)| stays(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn px04_only_what_is_for_the_api_reaches_it() {
        let sent = map(&[
            ("accept", "application/json"),
            ("content-type", "application/json"),
            ("if-match", "\"1\""),
            ("x-goog-user-project", "p"),
            ("user-agent", "caller/1"),
        ]);
        let mut all = sent.clone();
        all.extend(map(&[
            ("authorization", "Bearer key"),
            ("cookie", "a=b"),
            ("host", "us.example"),
            ("content-length", "2"),
            ("transfer-encoding", "chunked"),
            ("connection", "close, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("expect", "100-continue"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "close"),
            ("forwarded", "for=1.2.3.4"),
            ("via", "1.1 x"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-host", "evil.test"),
            ("x-real-ip", "1.2.3.4"),
            ("x-vercel-id", "iad1::1"),
            ("x-amzn-trace-id", "Root=1"),
            ("x-grantkeep-workspace", "acme"),
        ]));

        assert_eq!(to_api(&all), sent);
    }

    #[test]
    fn px04_only_what_is_for_the_caller_comes_back() {
        let sent = map(&[
            ("content-type", "application/json"),
            ("etag", "\"1\""),
            ("retry-after", "3"),
            ("location", "https://api.example/x"),
        ]);
        let mut all = sent.clone();
        all.extend(map(&[
            ("set-cookie", "a=b"),
            ("www-authenticate", "Bearer realm=\"x\""),
            ("proxy-authenticate", "Basic"),
            ("cache-control", "public, max-age=60"),
            ("expires", "Wed, 21 Oct 2037 07:28:00 GMT"),
            ("content-length", "2"),
            ("transfer-encoding", "chunked"),
            ("connection", "keep-alive"),
            ("strict-transport-security", "max-age=1; includeSubDomains"),
            ("access-control-allow-origin", "*"),
            ("alt-svc", "h3=\":443\""),
            ("clear-site-data", "\"cookies\""),
            ("x-grantkeep-error", "forbidden"),
        ]));

        assert_eq!(to_caller(&all, &Method::GET), sent);
    }

    #[test]
    fn an_answer_to_head_says_how_long_the_body_would_be() {
        let headers = map(&[("content-length", "7")]);

        assert_eq!(to_caller(&headers, &Method::HEAD), headers);
    }
}
