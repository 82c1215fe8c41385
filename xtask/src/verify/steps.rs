//! Progress on the screen, and other programs run to their end.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Error;

/// One thing that takes a while.
pub struct Step {
    name: String,
    since: Instant,
}

impl Step {
    /// Says what begins.
    pub fn begin(name: impl Into<String>) -> Self {
        let name = name.into();
        eprintln!("… {name}");
        Self {
            name,
            since: Instant::now(),
        }
    }

    /// Says that it is done, with a result and its seconds.
    pub fn done(self, result: &str) {
        let seconds = self.since.elapsed().as_secs_f64();
        eprintln!("✓ {}: {result} ({seconds:.1} s)", self.name);
    }
}

/// Runs it and hands back what it printed to stdout. Both streams are shown only when it
/// fails: by then they are what somebody needs.
pub fn run(command: &mut Command) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let ended = output.status;
    Err(format!("{program} failed ({ended})\n{stdout}{stderr}").into())
}

/// The same, and shows meanwhile whatever is new in what `look` says.
pub fn run_watched(
    command: &mut Command,
    look: impl Fn() -> String + Sync,
) -> Result<String, Error> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut shown = look();
            while !ended.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(200));
                let news = look();
                if news != shown {
                    eprintln!("  {news}");
                    shown = news;
                }
            }
        });
        let printed = run(command);
        ended.store(true, Ordering::Relaxed);
        printed
    })
}
