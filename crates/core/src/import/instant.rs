//! Instants as token files write them. One without an offset is UTC.

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};
use serde_json::Value;

const EXPECTED: &str = "an instant such as 2026-01-02T03:04:05Z, or seconds since 1970";
/// Epoch values from here on are milliseconds: as seconds they would be after the year 5000.
const MILLISECONDS: f64 = 1e11;
/// After this year nothing is a token's expiry.
const LAST_YEAR: i32 = 9999;

/// `None` for an empty text, zero, and the zero time of Go and .NET, which all mean "not
/// known"; what was expected for anything that is no instant.
pub(super) fn read(value: &Value) -> Result<Option<DateTime<Utc>>, &'static str> {
    match value {
        Value::Number(number) => number.as_f64().ok_or(EXPECTED).and_then(epoch),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) => epoch(number),
            Err(_) => calendar(text.trim()),
        },
        _ => Err(EXPECTED),
    }
}

fn epoch(number: f64) -> Result<Option<DateTime<Utc>>, &'static str> {
    if !number.is_finite() || number < 0.0 {
        return Err(EXPECTED);
    }
    if number == 0.0 {
        return Ok(None);
    }
    let millis = match number < MILLISECONDS {
        true => number * 1000.0,
        false => number,
    };
    DateTime::from_timestamp_millis(millis as i64)
        .filter(|at| at.year() <= LAST_YEAR)
        .map(Some)
        .ok_or(EXPECTED)
}

fn calendar(text: &str) -> Result<Option<DateTime<Utc>>, &'static str> {
    let at = with_offset(text)
        // An offset and a Z after it: the offset is what was meant.
        .or_else(|| with_offset(text.strip_suffix(['Z', 'z'])?))
        .or_else(|| naive(text.strip_suffix(['Z', 'z']).unwrap_or(text)))
        .ok_or(EXPECTED)?;
    match at.year() {
        ..=1 => Ok(None),
        2..=LAST_YEAR => Ok(Some(at)),
        _ => Err(EXPECTED),
    }
}

fn with_offset(text: &str) -> Option<DateTime<Utc>> {
    // `%#z` takes +02, +0200, +02:00 and Z.
    ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"]
        .iter()
        .find_map(|form| DateTime::parse_from_str(text, form).ok())
        .map(|at| at.with_timezone(&Utc))
}

fn naive(text: &str) -> Option<DateTime<Utc>> {
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|at| at.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seconds(value: Value) -> Option<i64> {
        read(&value).expect("an instant").map(|at| at.timestamp())
    }

    #[test]
    fn every_form_of_the_same_instant_is_the_same_instant() {
        for form in [
            json!("2026-01-02T03:04:05Z"),
            json!("2026-01-02T03:04:05"),
            json!("2026-01-02T03:04:05.678901Z"),
            json!("2026-01-02T03:04:05.678901"),
            json!("2026-01-02 03:04:05.678901"),
            json!("2026-01-02 03:04:05+00"),
            json!("2026-01-02T05:04:05.678901234+02:00"),
            json!("2026-01-02T05:04:05.678+02:00Z"),
            json!("2026-01-02T03:04:05.1234567Z"),
            json!(1_767_323_045),
            json!(1_767_323_045.678),
            json!(1_767_323_045_678_i64),
            json!("1767323045"),
            json!("1767323045678"),
        ] {
            assert_eq!(seconds(form.clone()), Some(1_767_323_045), "{form}");
        }
    }

    #[test]
    fn zero_times_and_empty_texts_are_unknown() {
        for form in [
            json!("0001-01-01T00:00:00Z"),
            json!("0001-01-01T00:00:00"),
            json!(0),
            json!(""),
        ] {
            assert_eq!(seconds(form.clone()), None, "{form}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for form in [
            json!("soon"),
            json!("2026-13-02T03:04:05Z"),
            json!("2026-01-02"),
            json!(-5),
            json!(1e30),
            json!("NaN"),
            json!("inf"),
            json!(true),
            json!(["2026-01-02T03:04:05Z"]),
        ] {
            assert!(read(&form).is_err(), "{form}");
        }
    }
}
