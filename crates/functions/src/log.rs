//! JSON lines on stdout, of our own code only: libraries may log what they send.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging at `LOG_LEVEL` (error, warn, info, debug, trace, off; info when it is
/// absent or unknown). A second call does nothing.
pub fn start() {
    start_at(LevelFilter::INFO);
}

/// The same with another level for when `LOG_LEVEL` is absent or unknown.
pub fn start_at(default: LevelFilter) {
    let level = std::env::var("LOG_LEVEL")
        .ok()
        .and_then(|text| text.trim().parse::<LevelFilter>().ok())
        .unwrap_or(default);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false);
    let ours = Targets::new().with_target("grantkeep", level);
    drop(
        tracing_subscriber::registry()
            .with(ours)
            .with(lines)
            .try_init(),
    );
}
