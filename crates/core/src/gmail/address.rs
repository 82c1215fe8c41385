//! E-mail addresses as people write them: checked once, where they come in.

use url::Host;

/// RFC 5321 section 4.5.3.1.
const MAX_LOCAL: usize = 64;
const MAX_ADDRESS: usize = 254;
const MAX_NAME: usize = 255;

/// One mailbox: `ann@sender.example`, or `Ann Bell <ann@sender.example>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// What people see.
    pub name: Option<String>,
    /// ASCII; the domain in lower case and punycode.
    pub email: String,
}

impl Address {
    /// Reads one address. The error says what to write instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().any(char::is_control) {
            return Err("must have no line breaks and no control characters");
        }
        let text = text.trim();
        let (name, email) = match text
            .strip_suffix('>')
            .and_then(|text| text.rsplit_once('<'))
        {
            Some((name, email)) => (display_name(name)?, email.trim()),
            None => (None, text),
        };
        Ok(Self {
            name,
            email: checked(email).ok_or(
                "must be one address: ann@sender.example or Ann Bell <ann@sender.example>",
            )?,
        })
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &str {
        self.email.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// What is wrong with a text that [`has_encoded_word`].
pub(super) const ENCODED_WORD: &str = "must be the text itself, not an encoded word (=?…?=)";

/// Whether a text could be read as an encoded word (RFC 2047). As it is ASCII it would go out as it
/// is, and the recipient would see another text, with line breaks even.
pub(super) fn has_encoded_word(text: &str) -> bool {
    text.split_once("=?")
        .is_some_and(|(_, rest)| rest.contains("?="))
}

/// The name before the angle bracket, its quotes taken off.
fn display_name(text: &str) -> Result<Option<String>, &'static str> {
    let text = text.trim();
    if text.len() > MAX_NAME {
        return Err("has a name of more than 255 bytes");
    }
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let name = match inner {
        // `\` takes away the meaning of what follows (RFC 5322 section 3.2.4).
        Some(quoted) => {
            let mut escaped = false;
            quoted
                .chars()
                .filter(|character| {
                    escaped = *character == '\\' && !escaped;
                    !escaped
                })
                .collect()
        }
        // Two addresses in one text would otherwise become a name and one recipient.
        None if text.contains(['<', '>', '@', ',', ';']) => {
            return Err("must be one address; a name with punctuation belongs in quotes");
        }
        None => text.to_owned(),
    };
    if has_encoded_word(&name) {
        return Err(ENCODED_WORD);
    }
    Ok(Some(name).filter(|name| !name.is_empty()))
}

/// An address without quoted parts, comments and address literals, which no mailbox of today has.
fn checked(email: &str) -> Option<String> {
    let (local, domain) = email.rsplit_once('@')?;
    let atom = |part: &str| {
        let special = |byte: &u8| b"!#$%&'*+-/=?^_`{|}~".contains(byte);
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || special(&byte))
    };
    if local.len() > MAX_LOCAL || !local.split('.').all(atom) {
        return None;
    }
    let Ok(Host::Domain(domain)) = Host::parse(domain) else {
        return None;
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let email = format!("{local}@{domain}");
    (email.len() <= MAX_ADDRESS && domain.split('.').all(label)).then_some(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Option<String>, String)> {
        let address = Address::parse(text).ok()?;
        Some((address.name, address.email))
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, name, email) in [
            ("ann@sender.example", None, "ann@sender.example"),
            (" <ann@sender.example> ", None, "ann@sender.example"),
            (
                "Ann Bell <ann@Sender.Example>",
                Some("Ann Bell"),
                "ann@sender.example",
            ),
            (
                "\"Bell, Ann\" <a.b+c@x.example>",
                Some("Bell, Ann"),
                "a.b+c@x.example",
            ),
            (
                r#""A \"B\" \\ C" <a@x.example>"#,
                Some(r#"A "B" \ C"#),
                "a@x.example",
            ),
            (
                "Jürgen Größe <j@bücher.example>",
                Some("Jürgen Größe"),
                "j@xn--bcher-kva.example",
            ),
        ] {
            let expected = (name.map(str::to_owned), email.to_owned());
            assert_eq!(read(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn hi01_what_is_not_one_address_is_refused() {
        for text in [
            "",
            "ann",
            "@sender.example",
            "ann@",
            "ann@@sender.example",
            "a..b@sender.example",
            ".a@sender.example",
            "a b@sender.example",
            "ann@sender..example",
            "ann@-x.example",
            "ann@127.0.0.1",
            "ann@[::1]",
            "ann@sender.example, bob@sender.example",
            "ann@sender.example <bob@sender.example>",
            "Ann, Bob <bob@sender.example>",
            "ann@sender.example\r\nBcc: eve@sender.example",
            "Ann\nBcc: eve@sender.example <ann@sender.example>",
            "ann@sender.example\0",
            "jürgen@sender.example",
            "ann@sender.example>",
            "=?utf-8?q?=0D=0A?= <ann@sender.example>",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert!(Address::parse(&format!("{}@x.example", "a".repeat(65))).is_err());
        assert!(Address::parse(&format!("{} <a@x.example>", "a".repeat(256))).is_err());
    }
}
