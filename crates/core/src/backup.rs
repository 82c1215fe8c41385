//! Backups: one JSON line for each connection, its token set sealed under a key of the
//! backup's own and bound to the row that it belongs to. A first line says what the file
//! is, a last one how much was written, so that a cut file is noticed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cipher::{KeyRing, OpenError};
use crate::connection::{Column, ConnectionId, Owner, RowKey};

/// How a backup begins, whatever comes after.
pub const MAGIC: &str = r#"{"grantkeep_backup":"#;
const FORMAT: u32 = 1;
/// The longest line that is read, in bytes: far more than a token set and its scopes have.
pub const MAX_LINE: usize = 1024 * 1024;

/// The first line.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Header {
    /// The format's version.
    grantkeep_backup: u32,
    /// The key that opens it.
    pub key_id: String,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
}

/// The last line.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Footer {
    /// How many connections are between the two.
    pub connections: u64,
}

/// Why a line of a backup cannot be restored.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BackupError {
    /// Not a line of a backup.
    #[error("is no line of a backup")]
    Malformed,
    /// Of a later release.
    #[error("was written by a later release: restore it with that one")]
    Later,
    /// Sealed under another key, altered, or moved from another line.
    #[error(transparent)]
    Cipher(#[from] OpenError),
}

/// One line of a backup.
pub enum Line {
    /// A connection; [`restored`] makes a row of it.
    Connection(Map<String, Value>),
    /// The end.
    End(Footer),
}

/// The first line of a backup that is sealed under the primary key of `keys`.
pub fn header(keys: &KeyRing, now: DateTime<Utc>) -> String {
    json(&Header {
        grantkeep_backup: FORMAT,
        key_id: keys.primary_id().to_string(),
        created_at: now,
    })
}

/// The last line.
pub fn footer(connections: u64) -> String {
    json(&Footer { connections })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads the first line.
pub fn read_header(line: &str) -> Result<Header, BackupError> {
    let header: Header = serde_json::from_str(line).map_err(|_| BackupError::Malformed)?;
    match header.grantkeep_backup {
        FORMAT => Ok(header),
        _ => Err(BackupError::Later),
    }
}

/// Reads any other line.
pub fn read_line(line: &str) -> Result<Line, BackupError> {
    match serde_json::from_str(line) {
        Ok(Value::Object(row)) if row.contains_key("sealed") => Ok(Line::Connection(row)),
        Ok(value) => serde_json::from_value(value)
            .map(Line::End)
            .map_err(|_| BackupError::Malformed),
        Err(_) => Err(BackupError::Malformed),
    }
}

/// A row of the database as a line: its token set opened with `from`, sealed with `to`.
pub fn line(
    row: Value,
    from: &KeyRing,
    to: &KeyRing,
    fill: fn(&mut [u8]),
) -> Result<String, BackupError> {
    let Value::Object(mut row) = row else {
        return Err(BackupError::Malformed);
    };
    let key = key_of(&row)?;
    row.remove("key_id");
    let sealed = match row.remove("token_data") {
        Some(Value::String(hex)) => unhex(&hex).ok_or(BackupError::Malformed)?,
        _ => return Err(BackupError::Malformed),
    };
    let plaintext = from.open(&sealed, &key.place(Column::TokenData))?;
    let sealed = to.seal(&plaintext, &key.place(Column::Backup), fill);
    row.insert("sealed".to_owned(), STANDARD.encode(sealed).into());
    Ok(json(&row))
}

/// A line as a row of the database, and its name: its token set opened with `from`, sealed
/// with `to`.
pub fn restored(
    mut row: Map<String, Value>,
    from: &KeyRing,
    to: &KeyRing,
    fill: fn(&mut [u8]),
) -> Result<(RowKey, Value), BackupError> {
    let key = key_of(&row)?;
    let sealed = match row.remove("sealed") {
        Some(Value::String(text)) => STANDARD.decode(text).map_err(|_| BackupError::Malformed)?,
        _ => return Err(BackupError::Malformed),
    };
    let plaintext = from.open(&sealed, &key.place(Column::Backup))?;
    let sealed = to.seal(&plaintext, &key.place(Column::TokenData), fill);
    row.insert("token_data".to_owned(), hex(&sealed).into());
    row.insert("key_id".to_owned(), to.primary_id().to_string().into());
    Ok((key, Value::Object(row)))
}

fn key_of(row: &Map<String, Value>) -> Result<RowKey, BackupError> {
    let text = |name: &str| match row.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(BackupError::Malformed),
    };
    Ok(RowKey {
        id: ConnectionId(text("id")?.parse().map_err(|_| BackupError::Malformed)?),
        provider: text("provider")?,
        owner: Owner {
            workspace: text("workspace_id")?,
            actor: text("actor_id")?,
        },
        account: text("account")?,
    })
}

/// As Postgres writes and reads `bytea`.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ring(key: &str) -> KeyRing {
        KeyRing::parse(key).expect("key")
    }

    fn own() -> KeyRing {
        ring("b3h1bWJyZWxsYS1jb3JhbC1zZXZlbi1maXNoLTQyISE")
    }

    fn other() -> KeyRing {
        ring("cXVpZXQtbW91bnRhaW4td2FsbnV0LWtpdGUtODghISE")
    }

    fn row(account: &str) -> Value {
        let mut row = json!({
            "id": "0b0f6a3e-6c39-4d0e-9a2d-9f3a5d1f7c11", "provider": "gmail",
            "workspace_id": "w", "actor_id": "a", "account": account, "version": 3,
        });
        let key = key_of(row.as_object().expect("object")).expect("key");
        let sealed = own().seal(
            b"token set",
            &key.place(Column::TokenData),
            crate::app::randomness,
        );
        row["token_data"] = hex(&sealed).into();
        row["key_id"] = own().primary_id().to_string().into();
        row
    }

    fn written(account: &str) -> Map<String, Value> {
        let line = line(row(account), &own(), &other(), crate::app::randomness).expect("line");
        assert!(!line.contains("token_data"));
        match read_line(&line) {
            Ok(Line::Connection(row)) => row,
            _ => panic!("{line}"),
        }
    }

    #[test]
    fn a_row_comes_back_as_it_was_under_the_keys_of_where_it_goes() {
        let (key, back) =
            restored(written("x"), &other(), &own(), crate::app::randomness).expect("row");

        assert_eq!(back["version"], 3);
        let sealed = unhex(back["token_data"].as_str().expect("text")).expect("hex");
        let opened = own().open(&sealed, &key.place(Column::TokenData));
        assert_eq!(opened.expect("opens").as_slice(), b"token set");
    }

    #[test]
    fn a_token_set_moved_to_another_line_or_into_the_table_does_not_open() {
        let mut moved = written("x");
        moved.insert("account".to_owned(), "y".into());
        let sealed = STANDARD
            .decode(written("x")["sealed"].as_str().expect("text"))
            .expect("base64");
        let key = key_of(&written("x")).expect("key");

        assert_eq!(
            restored(moved, &other(), &own(), crate::app::randomness),
            Err(BackupError::Cipher(OpenError::Integrity))
        );
        assert!(
            other()
                .open(&sealed, &key.place(Column::TokenData))
                .is_err()
        );
    }

    #[test]
    fn another_key_is_named_and_another_version_is_told() {
        let wrong = restored(written("x"), &own(), &own(), crate::app::randomness);

        assert!(matches!(
            wrong,
            Err(BackupError::Cipher(OpenError::UnknownKey(_)))
        ));
        let later = header(&own(), DateTime::UNIX_EPOCH).replace(":1,", ":2,");
        assert_eq!(read_header(&later).err(), Some(BackupError::Later));
        assert!(header(&own(), DateTime::UNIX_EPOCH).starts_with(MAGIC));
    }
}
