//! Rows of token tables of earlier systems, as JSON: a blob of credentials in a column,
//! token columns encrypted with Fernet, or a user's refresh token.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::members::{self, Members};
use super::{Format, Imported, Refused, Scopes, Whose, read_members};
use crate::cipher::KeyRing;
use crate::secret::{AccessToken, RefreshToken};

/// Columns that hold a whole token set.
const BLOBS: &[&str] = &[
    "token_data",
    "token_json",
    "token",
    "tokens",
    "credentials",
    "credentials_json",
    "data",
    "value",
    "blob",
];
const ACCESS: &str = "access_token_encrypted";
const REFRESH: &str = "refresh_token_encrypted";

/// `None` when it is no such row.
pub(super) fn read(row: &Members, keys: &KeyRing) -> Result<Option<Imported>, Refused> {
    if row.has(REFRESH) || row.has(ACCESS) {
        return encrypted(row, keys).map(Some);
    }
    if let Some((name, blob)) = blob(row) {
        return with_blob(row, name, blob, keys).map(Some);
    }
    if row.has("user_id") && row.has("refresh_token") {
        return user(row).map(Some);
    }
    Ok(None)
}

/// Decrypts a Fernet token with any key of the ring.
pub(super) fn decrypt(
    field: &str,
    token: &str,
    keys: &KeyRing,
) -> Result<Zeroizing<Vec<u8>>, Refused> {
    keys.open_fernet(token.trim_end()).map_err(|_| {
        Refused::new(
            field,
            "does not decrypt: set OAUTH_ENCRYPTION_KEY, or one of OAUTH_ENCRYPTION_KEYS_RETIRED, \
             to the Fernet key that it was encrypted with",
        )
    })
}

/// Tokens beside it are what counts then: any of these names can mean something else.
fn blob(row: &Members) -> Option<(&'static str, &Value)> {
    if row.has("refresh_token") || row.has("access_token") {
        return None;
    }
    BLOBS.iter().find_map(|name| {
        let value = row.0.get(*name)?;
        let holds = match value {
            Value::Object(_) => true,
            Value::String(text) => {
                let text = text.trim_start();
                text.starts_with('{') || text.starts_with("gAAAA")
            }
            _ => false,
        };
        holds.then_some((*name, value))
    })
}

fn with_blob(
    row: &Members,
    name: &'static str,
    blob: &Value,
    keys: &KeyRing,
) -> Result<Imported, Refused> {
    let within = |refused: Refused| match refused.field.as_str() {
        "file" => Refused::new(name, refused.message),
        field => Refused::new(format!("{name}.{field}"), refused.message),
    };
    let object: Map<String, Value> = match blob {
        Value::Object(object) => object.clone(),
        Value::String(text) if text.trim_start().starts_with("gAAAA") => {
            members::parse(&decrypt(name, text.trim(), keys)?).map_err(within)?
        }
        Value::String(text) => members::parse(text.as_bytes()).map_err(within)?,
        _ => return Err(Refused::new(name, "must be an object of credentials")),
    };
    // A row in a row is nobody's format; it would also nest without end.
    if blob_is_row(&object) {
        return Err(Refused::new(name, "must be an object of credentials"));
    }
    let mut imported = read_members(object, keys).map_err(within)?;
    imported.format = Format::Row;
    // The column is what the earlier system went by.
    if let Some(at) = row.instant("expires_at")? {
        imported.expires_at = Some(at);
    }
    if imported.scopes == Scopes::Unknown {
        imported.scopes = scopes(row)?;
    }
    let inner = std::mem::take(&mut imported.whose);
    imported.whose = whose(row)?;
    imported.whose.account = imported.whose.account.or(inner.account);
    imported.whose.subject = imported.whose.subject.or(inner.subject);
    Ok(imported)
}

fn blob_is_row(object: &Map<String, Value>) -> bool {
    object.contains_key(REFRESH)
        || object.contains_key(ACCESS)
        || BLOBS.iter().any(|name| {
            object.get(*name).is_some_and(|value| match value {
                Value::Object(_) => true,
                Value::String(text) => {
                    let text = text.trim_start();
                    text.starts_with('{') || text.starts_with("gAAAA")
                }
                _ => false,
            })
        })
}

fn encrypted(row: &Members, keys: &KeyRing) -> Result<Imported, Refused> {
    let token = |name: &str| -> Result<Option<String>, Refused> {
        let Some(text) = row.text(name)? else {
            return Ok(None);
        };
        let plaintext = decrypt(name, text, keys)?;
        let text = std::str::from_utf8(&plaintext).unwrap_or_default();
        match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Some(text.to_owned())),
            false => Err(Refused::new(name, "decrypts to something that is no token")),
        }
    };
    Ok(Imported {
        format: Format::EncryptedRow,
        access_token: token(ACCESS)?.map(AccessToken::new),
        refresh_token: token(REFRESH)?.map(RefreshToken::new),
        expires_at: row.instant("expires_at")?,
        refresh_expires_at: None,
        scopes: scopes(row)?,
        client_id: row.text("client_id")?.map(str::to_owned),
        token_uri: None,
        whose: whose(row)?,
    })
}

fn user(row: &Members) -> Result<Imported, Refused> {
    let access_token = row.access_token("access_token")?;
    Ok(Imported {
        format: Format::Row,
        expires_at: match access_token {
            Some(_) => row.instant("expires_at")?,
            None => None,
        },
        access_token,
        refresh_token: row.refresh_token("refresh_token")?,
        refresh_expires_at: None,
        scopes: scopes(row)?,
        client_id: row.text("client_id")?.map(str::to_owned),
        token_uri: None,
        whose: whose(row)?,
    })
}

/// These systems kept what they had asked for, whatever the column is called.
fn scopes(row: &Members) -> Result<Scopes, Refused> {
    for name in ["scope", "scopes", "token_scope"] {
        if let Some(scopes) = row.scopes(name)? {
            return Ok(Scopes::Requested(scopes));
        }
    }
    Ok(Scopes::Unknown)
}

fn whose(row: &Members) -> Result<Whose, Refused> {
    let mut created_at: Option<DateTime<Utc>> = None;
    for name in ["granted_at", "created_at"] {
        created_at = match created_at {
            None => row.instant(name)?,
            known => known,
        };
    }
    Ok(Whose {
        provider: row.text("provider")?.map(str::to_owned),
        workspace: row.first_id(&["workspace_id", "workspace", "tenant_id"])?,
        actor: row.first_id(&["actor_id", "actor", "user_id"])?,
        account: row.first_id(&["account", "email"])?,
        subject: None,
        user: None,
        created_at,
    })
}
