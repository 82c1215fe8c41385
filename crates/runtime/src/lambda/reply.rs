//! A finished answer as the JSON that an HTTP API or a function URL turns back into HTTP.

use std::str;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, header};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The answer, written as JSON straight from its parts.
pub struct Reply(pub Response<Bytes>);

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let headers = self.0.headers();
        let cookies: Vec<_> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|value| lossy(value.as_bytes()))
            .collect();

        let mut reply = serializer.serialize_map(Some(5))?;
        reply.serialize_entry("statusCode", &self.0.status().as_u16())?;
        reply.serialize_entry("headers", &Headers(headers))?;
        reply.serialize_entry("cookies", &cookies)?;
        // By content, not by type: UTF-8 passes unchanged as text, anything else needs base64.
        match str::from_utf8(self.0.body()) {
            Ok(text) if !grows(text) => {
                reply.serialize_entry("isBase64Encoded", &false)?;
                reply.serialize_entry("body", text)?;
            }
            _ => {
                reply.serialize_entry("isBase64Encoded", &true)?;
                reply.serialize_entry("body", &Base64(self.0.body()))?;
            }
        }
        reply.end()
    }
}

/// Whether a large text is longer as a JSON string than in base64, which has four characters
/// for three bytes: Lambda's limit counts what is sent.
fn grows(text: &str) -> bool {
    let escape = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.len() > 1024 * 1024 && text.bytes().map(escape).sum::<usize>() > text.len() / 3
}

/// One value per name, so several values of one header are joined as RFC 9110 section 5.3 has it;
/// cookies, which cannot be joined, have a place of their own.
struct Headers<'a>(&'a HeaderMap);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .keys()
                .filter(|name| *name != header::SET_COOKIE)
                .map(|name| (name.as_str(), joined(self.0, name))),
        )
    }
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|value| lossy(value.as_bytes()))
        .collect();
    values.join(", ")
}

/// JSON has no bytes; failing over one would end the whole process.
fn lossy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}
