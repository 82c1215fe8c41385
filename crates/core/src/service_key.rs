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
