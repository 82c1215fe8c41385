//! Service keys: what other serverless endpoints show to read tokens.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

/// What a service key may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Permission {
    /// Read tokens and connections.
    Read,
    /// Import, link, confirm and disconnect.
    Write,
    /// Read refresh tokens and client secrets.
    Export,
    /// Send mail.
    Send,
    /// Call the provider's API through us.
    Proxy,
}

impl Permission {
    const ALL: [(&'static str, Self); 5] = [
        ("read", Self::Read),
        ("write", Self::Write),
        ("export", Self::Export),
        ("send", Self::Send),
        ("proxy", Self::Proxy),
    ];

    /// Every permission there is.
    pub fn every() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().map(|(_, permission)| permission)
    }

    /// As in `SERVICE_KEYS`.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }
}

/// A configured key; the key itself is known only by its SHA-256.
#[derive(Clone, Debug)]
pub struct ServiceKey {
    /// For logs.
    pub name: String,
    /// `None` is every workspace.
    workspace: Option<String>,
    permissions: Vec<Permission>,
    hash: [u8; 32],
}

/// An entry of `SERVICE_KEYS` that cannot be read; its position, from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "entry {0} must be name:workspace-or-*:permissions:sha256-hex-of-key, with permissions of \
     read, write, export, send, proxy joined by +"
)]
pub struct InvalidServiceKey(pub usize);

impl ServiceKey {
    /// Whether it may do this.
    pub fn permits(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// The only workspace that it is good for; `None` is every one.
    pub fn workspace(&self) -> Option<&str> {
        self.workspace.as_deref()
    }

    /// Whether it is good for a workspace.
    pub fn reaches(&self, workspace: &str) -> bool {
        self.workspace.as_deref().is_none_or(|own| own == workspace)
    }

    fn parse(entry: &str) -> Option<Self> {
        let mut parts = entry.split(':');
        let (name, workspace) = (parts.next()?.trim(), parts.next()?);
        let (permissions, hash) = (parts.next()?, parts.next()?.trim());
        if name.is_empty() || workspace.is_empty() || parts.next().is_some() {
            return None;
        }
        let permissions = permissions
            .split('+')
            .map(|text| {
                Permission::ALL
                    .iter()
                    .find(|(name, _)| *name == text)
                    .map(|(_, p)| *p)
            })
            .collect::<Option<_>>()?;
        Some(Self {
            name: name.to_owned(),
            workspace: (workspace != "*").then(|| workspace.to_owned()),
            permissions,
            hash: unhex(hash)?,
        })
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

/// What our keys begin with.
const PREFIX: &str = "gk_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 40 letters and digits are 238 bits.
const RANDOM: usize = 40;
const CHECKSUM: usize = 6;

/// A fresh key: a prefix that secret scanners find, 238 random bits, and a checksum that
/// tells a slip from a key that is not known.
pub fn generate(fill: fn(&mut [u8])) -> String {
    let mut random = String::with_capacity(RANDOM);
    while random.len() < RANDOM {
        let mut bytes = [0; RANDOM];
        fill(&mut bytes);
        // Of 256 values the last 8 would make some letters likelier than others.
        let even = bytes.iter().filter(|byte| **byte < 248);
        random.extend(even.map(|byte| char::from(ALPHABET[usize::from(byte % 62)])));
    }
    random.truncate(RANDOM);
    let checksum = checksum(&random);
    format!("{PREFIX}{random}{checksum}")
}

/// Whether it looks like a key of [`generate`] and is none, because of a slip. Keys of
/// other make say nothing about themselves.
pub fn is_mistyped(key: &str) -> bool {
    let Some(rest) = key.strip_prefix(PREFIX) else {
        return false;
    };
    let ours = rest.len() == RANDOM + CHECKSUM && rest.bytes().all(|c| c.is_ascii_alphanumeric());
    ours && checksum(&rest[..RANDOM]) != rest[RANDOM..]
}

fn checksum(random: &str) -> String {
    let hash = digest(&SHA256, random.as_bytes());
    let first = hash.as_ref().iter().take(4);
    let mut number = first.fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let mut text = [b'0'; CHECKSUM];
    for letter in text.iter_mut().rev() {
        *letter = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    text.map(char::from).iter().collect()
}

/// An entry of `SERVICE_KEYS`, which knows the key only by its SHA-256.
pub fn entry(name: &str, workspace: &str, permissions: &str, key: &str) -> String {
    let hash: String = digest(&SHA256, key.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{name}:{workspace}:{permissions}:{hash}")
}

/// Every configured key.
#[derive(Clone, Debug, Default)]
pub struct ServiceKeys(Vec<ServiceKey>);

impl ServiceKeys {
    /// Reads `SERVICE_KEYS`.
    pub fn parse(text: &str) -> Result<Self, InvalidServiceKey> {
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .enumerate()
            .map(|(index, entry)| ServiceKey::parse(entry).ok_or(InvalidServiceKey(index + 1)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Every key, as configured.
    pub fn iter(&self) -> impl Iterator<Item = &ServiceKey> {
        self.0.iter()
    }

    /// The key that hashes to one of ours. Compares with every one, in a time that
    /// does not tell which came close.
    pub fn find(&self, key: &str) -> Option<&ServiceKey> {
        let hash = digest(&SHA256, key.as_bytes());
        self.0.iter().fold(None, |found, known| {
            match verify_slices_are_equal(&known.hash, hash.as_ref()) {
                Ok(()) => Some(known),
                Err(_) => found,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: &str) -> String {
        digest(&SHA256, key.as_bytes())
            .as_ref()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }

    #[test]
    fn a_key_is_found_by_its_hash_with_what_it_may_do() {
        let text = format!(
            "web:acme:read+write:{}, all:*:read:{}",
            hash("one"),
            hash("two")
        );
        let keys = ServiceKeys::parse(&text).expect("valid");

        let web = keys.find("one").expect("known");
        assert!(web.permits(Permission::Write) && !web.permits(Permission::Export));
        assert!(web.reaches("acme") && !web.reaches("other"));
        assert!(keys.find("two").is_some_and(|key| key.reaches("anything")));
        assert!(keys.find("three").is_none() && keys.find("").is_none());
    }

    fn fill(bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("randomness");
    }

    #[test]
    fn tk03_a_generated_key_is_found_by_its_entry_and_every_slip_in_it_is_noticed() {
        let key = generate(fill);
        let keys = ServiceKeys::parse(&entry("web", "*", "read+send", &key)).expect("valid");

        assert!(
            keys.find(&key)
                .is_some_and(|key| key.permits(Permission::Send))
        );
        assert!(key.starts_with("gk_") && key.len() == 49 && !is_mistyped(&key));
        assert_ne!(key, generate(fill));
        for index in 3..key.len() {
            let mut slip = key.clone().into_bytes();
            slip[index] = if slip[index] == b'x' { b'y' } else { b'x' };
            let slip = String::from_utf8(slip).expect("ASCII");
            assert!(is_mistyped(&slip), "{index}");
        }
        assert!(!is_mistyped("gk_of_other_make") && !is_mistyped("anything"));
    }

    #[test]
    fn a_malformed_entry_is_named_by_its_position() {
        let good = format!("a:*:read:{}", hash("k"));
        for bad in [
            "x",
            "a:b:read",
            "a:*:fly:00",
            &format!("a:*:read:{}", "zz".repeat(32)),
            &format!(":*:read:{}", hash("k")),
            &format!("a::read:{}", hash("k")),
        ] {
            let error = ServiceKeys::parse(&format!("{good},{bad}")).expect_err("malformed");
            assert_eq!(error, InvalidServiceKey(2), "{bad}");
        }
    }
}
