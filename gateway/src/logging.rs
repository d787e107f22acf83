//! The process log: JSON lines on standard error.

use config::Level;
use tracing::level_filters::LevelFilter;

/// Starts logging; called once.
pub(crate) fn start(level: Level) {
    let level = match level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Error => LevelFilter::ERROR,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
    };
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .try_init();
    debug_assert!(started.is_ok(), "logging was started twice");
}
