//! Waiting that does not make many instances move in step.

use std::time::Duration;

use crate::app::App;

/// How long a waiter sleeps between looks: 40 ms and growing, never more than 200 ms.
pub(super) struct Pause {
    next: Duration,
    /// How many there were.
    pub(super) rounds: u32,
}

impl Pause {
    pub(super) fn new() -> Self {
        Self {
            next: Duration::from_millis(40),
            rounds: 0,
        }
    }

    /// The next one.
    pub(super) fn next(&mut self, app: &App) -> Duration {
        let pause = self.next.mul_f64(jitter(app));
        self.next = self.next.mul_f64(1.4).min(Duration::from_millis(200));
        self.rounds += 1;
        pause
    }
}

/// Between 0.75 and 1.25, so that waiters do not move in step.
pub(crate) fn jitter(app: &App) -> f64 {
    let mut byte = [0];
    (app.fill)(&mut byte);
    0.75 + f64::from(byte[0]) / 510.0
}
