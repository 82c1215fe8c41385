//! Instants and spans of time, as people write and read them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// To the second, in UTC.
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `90s`, `10m`, `2h`, `7d`; a number alone is seconds.
pub fn span(text: &str) -> Result<TimeDelta, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("must end in s, m, h or d".to_owned()),
    };
    let number: u32 = digits
        .parse()
        .map_err(|_| "must be a number with s, m, h or d behind it, such as 10m".to_owned())?;
    Ok(TimeDelta::seconds(i64::from(number) * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        assert_eq!(span("90"), Ok(TimeDelta::seconds(90)));
        assert_eq!(span("10m"), Ok(TimeDelta::minutes(10)));
        assert_eq!(span("7d"), Ok(TimeDelta::days(7)));
        for bad in ["", "m", "-1s", "1w", "1.5h", "10 m"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
