//! `[limits]`, and what a listener has in the place of it: what clients may take of the process.

use std::time::Duration;

use wire::Fields;

use crate::context::Missing;
use crate::raw::Section;
use crate::{BodyRate, Limits};

/// What holds wherever nothing else is said.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    max_head: usize,
    keys: Keys,
}

/// One value for each key.
#[derive(Clone, Copy)]
struct Keys {
    connections: u32,
    connections_per_address: u32,
    header_fields: u32,
    target: usize,
    body_rate: u32,
    body_window: Duration,
    http3_handshakes: u32,
    http3_streams: u32,
}

/// `[limits]`. `max_head` bounds the target: what is longer is no head.
pub(super) fn limits(
    section: Section<'_>,
    max_head: Result<usize, Missing>,
) -> Result<Defaults, Missing> {
    let keys = keys(section, max_head, &built_in(max_head));
    Ok(Defaults {
        max_head: max_head?,
        keys: keys?,
    })
}

/// `[listener.limits]`.
pub(super) fn of_listener(
    section: Section<'_>,
    defaults: Result<Defaults, Missing>,
) -> Result<Limits, Missing> {
    let max_head = defaults.map(|defaults| defaults.max_head);
    let default = defaults.map_or_else(|_| built_in(max_head), |defaults| defaults.keys);
    let keys = keys(section, max_head, &default);
    defaults.and(keys).map(Limits::from)
}

impl From<Keys> for Limits {
    fn from(keys: Keys) -> Self {
        let millis = u64::try_from(keys.body_window.as_millis()).unwrap_or(u64::MAX);
        let least = u64::from(keys.body_rate).saturating_mul(millis) / 1000;
        Self {
            connections: keys.connections,
            connections_per_address: keys.connections_per_address,
            header_fields: keys.header_fields as usize,
            target: keys.target,
            body_rate: (keys.body_rate > 0).then_some(BodyRate {
                least: least.max(1),
                window: keys.body_window,
            }),
            http3_handshakes: keys.http3_handshakes,
            http3_streams: keys.http3_streams,
        }
    }
}

fn keys(
    mut section: Section<'_>,
    max_head: Result<usize, Missing>,
    default: &Keys,
) -> Result<Keys, Missing> {
    let connections = section.number("connections", default.connections, 1..=1_000_000);
    let per_address = default.connections_per_address;
    let connections_per_address =
        section.number("connections_per_address", per_address, 1..=1_000_000);
    let most = u32::try_from(Fields::MAX).unwrap_or(u32::MAX);
    let header_fields = section.number("header_fields", default.header_fields, 16..=most);
    let target = target(&mut section, max_head, default.target);
    let body_rate = section.number("body_rate", default.body_rate, 0..=1_000_000);
    let shortest = Duration::from_millis(1);
    let body_window = section.duration("body_window", default.body_window, shortest);
    let handshakes = default.http3_handshakes;
    let http3_handshakes = section.number("http3_handshakes", handshakes, 0..=1_000_000);
    let http3_streams = section.number("http3_streams", default.http3_streams, 1..=10_000);
    section.finish();
    Ok(Keys {
        connections: connections?,
        connections_per_address: connections_per_address?,
        header_fields: header_fields?,
        target: target?,
        body_rate: body_rate?,
        body_window: body_window?,
        http3_handshakes: http3_handshakes?,
        http3_streams: http3_streams?,
    })
}

fn target(
    section: &mut Section<'_>,
    max_head: Result<usize, Missing>,
    default: usize,
) -> Result<usize, Missing> {
    let Some(value) = section.key("target") else {
        return Ok(default);
    };
    let max_head = max_head?;
    let expected = format!(r#"bytes or a size from "1KiB" to max_head, which is {max_head} bytes"#);
    let most = u64::try_from(max_head).unwrap_or(u64::MAX);
    let size = value.size(&expected, 1 << 10..=most)?;
    usize::try_from(size).map_err(|_| value.unexpected(&expected))
}

fn built_in(max_head: Result<usize, Missing>) -> Keys {
    let target = 32 << 10;
    Keys {
        connections: 16_384,
        connections_per_address: 512,
        header_fields: 128,
        target: max_head.map_or(target, |max_head| max_head.min(target)),
        body_rate: 64,
        body_window: Duration::from_secs(60),
        http3_handshakes: 64,
        http3_streams: 128,
    }
}
