//! Where the browser may be sent when an authorization is over (RFC 9700 section 4.11).

use url::Url;

/// The origin that browsers see us at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicUrl {
    origin: String,
    secure: bool,
}

/// What is wrong with an origin in the settings.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be an origin such as https://app.example.com (plain http only on loopback)")]
pub struct InvalidOrigin;

impl PublicUrl {
    /// Reads an https origin; http only on loopback.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let url = origin(text)?;
        Ok(Self {
            origin: url.origin().ascii_serialization(),
            secure: url.scheme() == "https",
        })
    }

    /// Scheme, host and port, without a slash at the end.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether cookies can be `Secure`; false only on loopback.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// What is registered at the provider: the same for every request, whatever
    /// `Host` or `X-Forwarded-Host` it carries (RFC 9700 section 4.1).
    pub fn redirect_uri(&self, provider: &str) -> String {
        format!("{}/api/oauth/{provider}/callback", self.origin)
    }
}

fn origin(text: &str) -> Result<Url, InvalidOrigin> {
    let url = Url::parse(text.trim()).map_err(|_| InvalidOrigin)?;
    let local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => return Err(InvalidOrigin),
    };
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && local);
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if scheme && bare && anonymous {
        Ok(url)
    } else {
        Err(InvalidOrigin)
    }
}

/// The origins that `return_to` may name and that may call the session routes.
#[derive(Clone, Debug)]
pub struct AllowedOrigins(Vec<String>);

impl AllowedOrigins {
    /// Our own origin and the comma separated `others`.
    pub fn parse(own: &PublicUrl, others: &str) -> Result<Self, InvalidOrigin> {
        let others = others
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty());
        let mut origins = vec![own.origin.clone()];
        for text in others {
            origins.push(origin(text)?.origin().ascii_serialization());
        }
        Ok(Self(origins))
    }

    /// Whether a request's `Origin` header names one of them.
    pub fn contains(&self, origin: &str) -> bool {
        self.0.iter().any(|known| known == origin)
    }

    /// Whether the browser may be sent to `target`: a path of ours, or an address at one
    /// of these origins. Strict about everything that browsers read differently.
    pub fn allows(&self, target: &str) -> bool {
        const MAX: usize = 1024;
        let lower = target.to_ascii_lowercase();
        let odd = target.len() > MAX
            || target.contains('\\')
            || target
                .chars()
                .any(|c| c.is_control() || c == ' ' || !c.is_ascii())
            || ["%0d", "%0a", "%09", "%00"]
                .iter()
                .any(|code| lower.contains(code));
        if odd {
            return false;
        }
        if let Some(rest) = target.strip_prefix('/') {
            return !rest.starts_with('/');
        }
        self.0.iter().any(|origin| {
            target
                .strip_prefix(origin.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
        })
    }
}

/// `target` with `pairs` added to its query, before any fragment.
pub fn with_query(target: &str, pairs: &[(&str, &str)]) -> String {
    let (address, fragment) = target.split_once('#').unwrap_or((target, ""));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    let joint = match address.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    let hash = if fragment.is_empty() { "" } else { "#" };
    format!("{address}{joint}{query}{hash}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> AllowedOrigins {
        let own = PublicUrl::parse("https://auth.example").expect("origin");
        AllowedOrigins::parse(&own, "https://app.test, http://localhost:5173").expect("origins")
    }

    #[test]
    fn st11_only_own_paths_and_listed_origins_are_allowed() {
        for target in [
            "/",
            "/settings?tab=mail#top",
            "https://app.test",
            "https://app.test/done?x=1",
            "https://auth.example/connect",
            "http://localhost:5173/",
        ] {
            assert!(allowed().allows(target), "{target}");
        }
        for target in [
            "",
            "//evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "https:evil.test",
            "https:/app.test",
            "https://app.test@evil.test",
            "https://app.test.evil.test",
            "https://app.test:8443/",
            "http://app.test/",
            "javascript:alert(1)",
            "%0d%0aSet-Cookie:x",
            "/a%0D%0Ab",
            "/a\r\nb",
            "\t//evil.test",
            "/\t/evil.test",
            " /a",
            "data:text/html,x",
            "settings",
            "/ä",
        ] {
            assert!(!allowed().allows(target), "{target}");
        }
    }

    #[test]
    fn an_origin_is_https_and_nothing_but_an_origin() {
        for text in [
            "http://app.example",
            "https://app.example/path",
            "https://u:p@app.example",
            "app.example",
            "https://app.example?x",
            "ftp://app.example",
            "",
        ] {
            assert_eq!(PublicUrl::parse(text), Err(InvalidOrigin), "{text}");
        }
        for text in [
            "https://app.example",
            "https://app.example/",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
        ] {
            assert!(PublicUrl::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn ar03_the_redirect_uri_comes_from_the_settings() {
        let own = PublicUrl::parse("https://auth.example/").expect("origin");

        assert_eq!(
            own.redirect_uri("gmail"),
            "https://auth.example/api/oauth/gmail/callback"
        );
    }

    #[test]
    fn a_query_is_added_where_it_belongs() {
        let pairs = [("a", "1 2"), ("b", "&")];

        assert_eq!(with_query("/x", &pairs), "/x?a=1+2&b=%26");
        assert_eq!(with_query("/x?y=1#z", &pairs), "/x?y=1&a=1+2&b=%26#z");
        assert_eq!(with_query("/x?", &pairs), "/x?a=1+2&b=%26");
    }
}
