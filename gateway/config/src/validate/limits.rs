//! `[limits]`: what clients may take of the process.

use std::time::Duration;

use wire::Fields;

use crate::context::Missing;
use crate::raw::Section;
use crate::{BodyRate, Limits};

/// `max_head` bounds the target: what is longer is no head.
pub(super) fn limits(
    mut section: Section<'_>,
    max_head: Result<usize, Missing>,
) -> Result<Limits, Missing> {
    let connections = section.number("connections", 16_384, 1..=1_000_000);
    let connections_per_address = section.number("connections_per_address", 512, 1..=1_000_000);
    let most = u32::try_from(Fields::MAX).unwrap_or(u32::MAX);
    let header_fields = section.number("header_fields", 128, 16..=most);
    let target = max_head.and_then(|max_head| target(&mut section, max_head));
    let body_rate = section.number("body_rate", 64, 0..=1_000_000);
    let body_window = section.duration(
        "body_window",
        Duration::from_secs(60),
        Duration::from_millis(1),
    );
    section.finish();
    Ok(Limits {
        connections: connections?,
        connections_per_address: connections_per_address?,
        header_fields: header_fields? as usize,
        target: target?,
        body_rate: body_rate_of(body_rate?, body_window?),
    })
}

fn target(section: &mut Section<'_>, max_head: usize) -> Result<usize, Missing> {
    let Some(value) = section.key("target") else {
        return Ok(max_head.min(32 << 10));
    };
    let expected = format!(r#"bytes or a size from "1KiB" to max_head, which is {max_head} bytes"#);
    let most = u64::try_from(max_head).unwrap_or(u64::MAX);
    let size = value.size(&expected, 1 << 10..=most)?;
    usize::try_from(size).map_err(|_| value.unexpected(&expected))
}

fn body_rate_of(per_second: u32, window: Duration) -> Option<BodyRate> {
    let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    let least = u64::from(per_second).saturating_mul(millis) / 1000;
    (per_second > 0).then_some(BodyRate {
        least: least.max(1),
        window,
    })
}
