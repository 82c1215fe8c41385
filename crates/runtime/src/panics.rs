//! What a panic leaves in the log: where it was, never what it said.

use std::io::Write;
use std::panic;

/// Makes every panic one JSON line on stdout.
///
/// Without the payload, because a message can quote the value it stumbled over, and here values
/// are tokens and keys.
pub fn log_without_payload() {
    panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
        let place = serde_json::Value::from(place);
        // A closed stdout is no reason to panic within a panic, which would abort the process.
        let _ = writeln!(
            std::io::stdout(),
            r#"{{"level":"error","event":"panic","location":{place}}}"#
        );
    }));
}
