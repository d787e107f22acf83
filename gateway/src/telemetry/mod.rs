//! What the gateway tells its operator: metrics and the access log.
//!
//! The hot path pays a few plain stores into cells that belong to its worker ([`Cells`]); they are
//! summed when somebody scrapes ([`Telemetry::render`]). Access-log lines are collected per worker
//! and written by one thread ([`AccessLogWriter`]); when that thread cannot keep up, lines are
//! dropped and counted, and requests go on.
//!
//! Metric names, label values and log fields are an API: `docs/metrics.md` and
//! `docs/access-log.md` list them, tests hold them still.

mod access_log;
mod cells;
mod durations;
mod http3;
mod labels;
mod names;
mod scrape;

pub(crate) use access_log::MEMORY as ACCESS_LOG_MEMORY;
pub(crate) use access_log::{AccessLog, AccessLogWriter, Entry};
pub(crate) use cells::{Cells, RequestRecord};
pub(crate) use http3::Http3Cells;
pub(crate) use labels::{Labels, Protocol, TunnelEnd};
pub(crate) use scrape::Telemetry;
