//! JSON as it is imported: no member twice, and typed access that names the member
//! when it is not what it should be.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{Refused, instant, refused};
use crate::scope::ScopeSet;
use crate::secret::{AccessToken, RefreshToken};

/// Longer names are no names of members.
const SHOWN: usize = 40;

/// Parses one JSON object. A member that is there twice is refused: two readers could
/// see two different things. JSON in a JSON string is unwrapped once.
pub fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Refused> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    refused::binary(bytes)?;
    if bytes.trim_ascii().is_empty() {
        return Err(Refused::whole("is empty"));
    }
    let value = strict(bytes)?;
    match value {
        Value::String(inner) => object(strict(inner.as_bytes())?),
        value => object(value),
    }
}

fn object(value: Value) -> Result<Map<String, Value>, Refused> {
    match value {
        Value::Object(members) => Ok(members),
        Value::Array(_) => Err(Refused::whole(
            "is a list: give one object of credentials at a time",
        )),
        _ => Err(Refused::whole("must be a JSON object of credentials")),
    }
}

fn strict(bytes: &[u8]) -> Result<Value, Refused> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Unique::deserialize(&mut reader)
        .and_then(|Unique(value)| reader.end().map(|()| value))
        .map_err(|error| match error.is_data() {
            // The only thing that `Unique` does not take.
            true => Refused::whole(format!(
                "has a member twice, before line {} column {}: remove one",
                error.line(),
                error.column()
            )),
            false => Refused::whole(format!(
                "is not JSON at line {} column {}",
                error.line(),
                error.column()
            )),
        })?;
    Ok(value)
}

/// Any JSON value in which no object has a member twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> DeserializeSeed<'de> for UniqueVisitor {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(UniqueVisitor)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(UniqueVisitor)?;
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("a member twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

/// The members of one object.
pub(super) struct Members(pub(super) Map<String, Value>);

impl Members {
    /// Whether it is there and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// Text; an empty one counts as absent.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refused> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            Some(_) => Err(wrong(name, "a string")),
        }
    }

    /// Text, or a number written as text, as ids are.
    pub(super) fn id(&self, name: &str) -> Result<Option<String>, Refused> {
        match self.0.get(name) {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => Ok(self.text(name)?.map(str::to_owned)),
        }
    }

    /// The first of these that is there.
    pub(super) fn first_id(&self, names: &[&str]) -> Result<Option<String>, Refused> {
        for name in names {
            if let Some(found) = self.id(name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn token(&self, name: &str) -> Result<Option<&str>, Refused> {
        let token = self.text(name)?;
        // What no token has, and what would end up in a header.
        match token.is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            true => Err(Refused::new(name, "holds characters that no token has")),
            false => Ok(token),
        }
    }

    /// An access token.
    pub(super) fn access_token(&self, name: &str) -> Result<Option<AccessToken>, Refused> {
        Ok(self.token(name)?.map(AccessToken::new))
    }

    /// A refresh token.
    pub(super) fn refresh_token(&self, name: &str) -> Result<Option<RefreshToken>, Refused> {
        Ok(self.token(name)?.map(RefreshToken::new))
    }

    /// An instant in any of the forms that token files have.
    pub(super) fn instant(&self, name: &str) -> Result<Option<DateTime<Utc>>, Refused> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => instant::read(value).map_err(|expected| wrong(name, expected)),
        }
    }

    /// Seconds; providers and databases write them as number or text.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<i64>, Refused> {
        const CENTURY: f64 = 3.2e9;
        let number = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        match number.filter(|seconds: &f64| seconds.is_finite()) {
            Some(seconds) => Ok(Some(seconds.clamp(0.0, CENTURY) as i64)),
            None => Err(wrong(name, "a number of seconds")),
        }
    }

    /// A list of scopes, or a string joined by spaces or commas.
    pub(super) fn scopes(&self, name: &str) -> Result<Option<ScopeSet>, Refused> {
        let expected = "a list of scopes or a string of them";
        let set = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            // Postgres writes an array as {a,b} where a text was expected.
            Some(Value::String(text)) => {
                ScopeSet::parse(text.trim().trim_start_matches('{').trim_end_matches('}'))
            }
            Some(Value::Array(list)) => {
                let mut joined = Vec::with_capacity(list.len());
                for scope in list {
                    joined.push(scope.as_str().ok_or_else(|| wrong(name, expected))?);
                }
                ScopeSet::parse(&joined.join(" "))
            }
            Some(_) => return Err(wrong(name, expected)),
        };
        let fits = set
            .iter()
            .all(|scope| scope.len() <= 1024 && scope.bytes().all(|byte| byte.is_ascii_graphic()));
        match fits {
            true => Ok(Some(set).filter(|set| !set.is_empty())),
            false => Err(wrong(name, expected)),
        }
    }
}

fn wrong(name: &str, expected: &str) -> Refused {
    let shown: String = name.chars().take(SHOWN).collect();
    Refused::new(shown, format!("must be {expected}"))
}
