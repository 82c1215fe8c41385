//! Wrong credentials, counted for each source: who guesses is slowed down. One instance
//! counts for itself; the platform's own limits come before it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

const WINDOW: Duration = Duration::from_secs(60);
/// So many wrong credentials of one source in a window are answered 401, the rest 429.
const LIMIT: u32 = 100;
/// More sources than this are counted as one, so that nobody can fill the memory.
const SOURCES: usize = 1000;

/// The counts of one instance.
#[derive(Default)]
pub struct Attempts(Mutex<HashMap<String, (Instant, u32)>>);

impl Attempts {
    /// Counts a wrong credential; the seconds to wait once there were too many.
    pub fn failed(&self, headers: &HeaderMap) -> Option<u64> {
        self.failed_at(source(headers), Instant::now())
    }

    fn failed_at(&self, source: &str, now: Instant) -> Option<u64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, (began, _)| now.duration_since(*began) < WINDOW);
        let full = counts.len() >= SOURCES && !counts.contains_key(source);
        let source = if full { "" } else { source };
        let (began, count) = counts.entry(source.to_owned()).or_insert((now, 0));
        *count += 1;
        let left = WINDOW.saturating_sub(now.duration_since(*began));
        (*count > LIMIT).then(|| left.as_secs() + 1)
    }
}

/// The address that the platform saw: the last one in `X-Forwarded-For`, as those before
/// it are the client's own words.
fn source(headers: &HeaderMap) -> &str {
    headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()
        .and_then(|value| value.to_str().ok())
        .and_then(|list| list.rsplit(',').next())
        .map_or("", str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tk06_a_source_is_slowed_down_and_others_are_not() {
        let attempts = Attempts::default();
        let now = Instant::now();

        let refused = (0..LIMIT + 5)
            .filter_map(|_| attempts.failed_at("a", now))
            .count();

        assert_eq!(refused, 5);
        assert_eq!(attempts.failed_at("b", now), None);
        assert_eq!(attempts.failed_at("a", now + WINDOW), None);
    }

    #[test]
    fn tk06_many_sources_do_not_fill_the_memory() {
        let attempts = Attempts::default();
        let now = Instant::now();

        for source in 0..SOURCES * 2 {
            attempts.failed_at(&source.to_string(), now);
        }

        assert!(attempts.0.lock().expect("lock").len() <= SOURCES + 1);
    }

    #[test]
    fn tk06_the_source_is_the_address_that_the_platform_added() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-forwarded-for",
            "1.1.1.1, 203.0.113.7".parse().expect("value"),
        );

        assert_eq!(source(&headers), "203.0.113.7");
        assert_eq!(source(&HeaderMap::new()), "");
    }
}
