//! What the demo provider's people have on today, so that there is something to see.

use chrono::{DateTime, NaiveDate, Utc};
use grantkeep_demo_provider::{ACCOUNTS, DemoProvider};
use serde_json::{Map, Value, json};

/// Hours in UTC from and to, and what is on.
const DAY: [(u32, u32, &str); 3] = [
    (9, 10, "Stand-up"),
    (12, 13, "Lunch with Ann"),
    (15, 17, "Review of the quarter"),
];

/// Puts the same day into every account's calendar.
pub fn fill(demo: &DemoProvider, now: DateTime<Utc>) {
    let today = now.date_naive();
    for account in ACCOUNTS {
        for (from, to, summary) in DAY {
            // The calendar is a toy: a day without the event is no reason to stop.
            let _ = demo.add_event(account.email, event(today, from, to, summary));
        }
    }
}

fn event(day: NaiveDate, from: u32, to: u32, summary: &str) -> Map<String, Value> {
    let at = |hour: u32| json!({"dateTime": format!("{day}T{hour:02}:00:00Z")});
    let members = [
        ("summary", json!(summary)),
        ("start", at(from)),
        ("end", at(to)),
    ];
    members
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}
