//! Credentials that other systems stored: recognised by what is in them, never by a
//! file's name, and read into one shape. Endpoints in them are compared and never used.
//!
//! [`read`] and [`read_members`] are pure; [`save`] makes a connection of what they return.

mod accounts;
mod candidate;
mod google;
mod instant;
mod members;
mod refused;
mod rows;
pub mod save;
pub mod table;
mod tokens;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

pub use members::parse;

use crate::cipher::KeyRing;
use crate::scope::ScopeSet;
use crate::secret::{AccessToken, RefreshToken};
use members::Members;

/// Larger input is no credentials, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// What a file or row said.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Which form it had.
    pub format: Format,
    /// Absent where only the refresh token was kept.
    pub access_token: Option<AccessToken>,
    /// Absent where there is none; only providers without refresh tokens do without.
    pub refresh_token: Option<RefreshToken>,
    /// When the access token ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the refresh token ends.
    pub refresh_expires_at: Option<DateTime<Utc>>,
    /// Scopes, and whether they were granted or only asked for.
    pub scopes: Scopes,
    /// Whom the tokens were issued to, where that is said.
    pub client_id: Option<String>,
    /// Where it says tokens are refreshed; only ever compared with what is known.
    pub token_uri: Option<String>,
    /// Whose it is, as far as that is said.
    pub whose: Whose,
}

/// What a file or row says about whose credentials it holds; each part may be absent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs, reason = "named as in a connection")]
pub struct Whose {
    pub provider: Option<String>,
    pub workspace: Option<String>,
    pub actor: Option<String>,
    pub account: Option<String>,
    pub subject: Option<String>,
    /// The user in a sign-in library's table: the actor, where the whole table is imported.
    pub user: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
}

/// Scopes of a file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Scopes {
    /// None are named.
    #[default]
    Unknown,
    /// What was asked for; what came of it is not known before the first refresh.
    Requested(ScopeSet),
    /// As the provider's answer named them.
    Granted(ScopeSet),
}

/// Which form credentials were found in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "each is explained by its name below")]
pub enum Format {
    GoogleAuth,
    AuthorizedUser,
    Oauth2client,
    GoogleRuby,
    GoogleNode,
    Go,
    Oauthlib,
    DotNet,
    TokenResponse,
    AuthJs,
    BetterAuth,
    Row,
    EncryptedRow,
}

impl Format {
    /// In reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GoogleAuth => "google_auth",
            Self::AuthorizedUser => "authorized_user",
            Self::Oauth2client => "oauth2client",
            Self::GoogleRuby => "google_ruby",
            Self::GoogleNode => "google_node",
            Self::Go => "go",
            Self::Oauthlib => "oauthlib",
            Self::DotNet => "dotnet",
            Self::TokenResponse => "token_response",
            Self::AuthJs => "authjs",
            Self::BetterAuth => "better_auth",
            Self::Row => "table_row",
            Self::EncryptedRow => "encrypted_table_row",
        }
    }
}

/// Why something is not imported: the member, and what to do. Never a value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Refused {
    /// The member, or `file` for all of it.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Refused {
    /// About one member.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }

    fn whole(message: impl Into<String>) -> Self {
        Self::new("file", message)
    }
}

/// Reads a file of credentials: JSON, or a Fernet token of JSON that a key of `keys` opens.
pub fn read(bytes: &[u8], keys: &KeyRing) -> Result<Imported, Refused> {
    read_members(parse_opened(bytes, keys)?, keys)
}

/// The JSON object in a file, decrypted first where it is a Fernet token.
fn parse_opened(bytes: &[u8], keys: &KeyRing) -> Result<Map<String, Value>, Refused> {
    if bytes.len() > MAX_BYTES {
        return Err(Refused::whole(
            "is larger than 64 KiB: it is no credentials",
        ));
    }
    if bytes.trim_ascii_start().starts_with(b"gAAAA") {
        let token = std::str::from_utf8(bytes).map_err(|_| Refused::whole("is not UTF-8"))?;
        return parse(&rows::decrypt("file", token, keys)?);
    }
    parse(bytes)
}

/// Reads credentials that were parsed before, such as the rest of a request's body.
pub fn read_members(object: Map<String, Value>, keys: &KeyRing) -> Result<Imported, Refused> {
    let members = Members(object);
    refused::check(&members)?;
    if let Some(row) = rows::read(&members, keys)? {
        return Ok(row);
    }
    let mut read = accounts::read(&members)
        .or_else(|| google::read(&members))
        .unwrap_or_else(|| tokens::read(&members))?;
    if read.access_token.is_none() && read.refresh_token.is_none() {
        return Err(Refused::whole(
            "holds neither an access token nor a refresh token in any form that is known; \
             expected is a token.json, an authorized_user file or a token answer",
        ));
    }
    // As the API takes them beside the credentials, and `grantkeep export` writes them.
    for (part, name) in [
        (&mut read.whose.provider, "provider"),
        (&mut read.whose.workspace, "workspace"),
        (&mut read.whose.actor, "actor"),
    ] {
        if part.is_none() {
            *part = members.text(name)?.map(str::to_owned);
        }
    }
    Ok(read)
}

#[cfg(test)]
#[path = "import/read_tests.rs"]
mod read_tests;
