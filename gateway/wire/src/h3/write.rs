//! Writing heads from parsed values.

use bytes::{BufMut, BytesMut};

use super::frame;
use super::qpack::{push_indexed, push_line, push_named, push_prefix};
use super::section::FIELD_OVERHEAD;
use super::varint::push_varint;

/// Writes one HEADERS frame: pseudo-header fields first, then field lines, then
/// [`HeadWriter::finish`].
///
/// Names and values are those of parsed heads: tokens, and no control characters. The caller
/// leaves out connection-specific fields (RFC 9114 §4.2), as policy does. Trailers are never sent.
#[derive(Debug)]
#[must_use = "a frame without its length is no frame: finish it"]
pub struct HeadWriter<'a> {
    out: &'a mut BytesMut,
    /// Where the frame's length is to be written.
    start: usize,
    /// RFC 9114 §4.2.2.
    size: u64,
}

impl<'a> HeadWriter<'a> {
    /// Begins the head of an answer, interim (100, 103) or final. `status` is 100–599 and not 101,
    /// which HTTP/3 does not know (RFC 9114 §4.5): an upgrade is answered by 200 (RFC 9220 §3).
    pub fn answer(out: &'a mut BytesMut, status: u16) -> Self {
        debug_assert!(matches!(status, 100 | 102..=599));
        let mut writer = Self::begin(out);
        match static_status(status) {
            Some(index) => push_indexed(writer.out, index),
            None => {
                let digit = |unit: u16| b'0' + (status / unit % 10) as u8;
                push_named(writer.out, STATUS, &[digit(100), digit(10), digit(1)]);
            }
        }
        writer.count(b":status", b"200");
        writer
    }

    /// Begins the head of a request, with scheme `https`; `target` is path and query, and
    /// `protocol` makes it an extended CONNECT (RFC 9220), whose method is `CONNECT`.
    pub fn request(
        out: &'a mut BytesMut,
        method: &[u8],
        authority: &[u8],
        target: &[u8],
        protocol: Option<&[u8]>,
    ) -> Self {
        let mut writer = Self::begin(out);
        match static_method(method) {
            Some(index) => push_indexed(writer.out, index),
            None => push_named(writer.out, METHOD, method),
        }
        push_indexed(writer.out, SCHEME_HTTPS);
        push_named(writer.out, AUTHORITY, authority);
        match target {
            b"/" => push_indexed(writer.out, PATH),
            _ => push_named(writer.out, PATH, target),
        }
        for (name, value) in [
            (&b":method"[..], method),
            (b":scheme", b"https"),
            (b":authority", authority),
            (b":path", target),
        ] {
            writer.count(name, value);
        }
        if let Some(protocol) = protocol {
            writer.field(b":protocol", protocol);
        }
        writer
    }

    /// Appends a field line; the name may be in any case and is written in lower case (§4.2).
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        push_line(self.out, name, value);
        self.count(name, value);
    }

    /// Ends the frame. Returns the size of the field section as RFC 9114 §4.2.2 counts it, to be
    /// compared with the peer's SETTINGS_MAX_FIELD_SECTION_SIZE.
    pub fn finish(self) -> u64 {
        let payload = self.start + LENGTH.len();
        let len = self.out.len() - payload;
        debug_assert!(len < 1 << 30);
        let place = self.out.get_mut(self.start..payload).unwrap_or_default();
        for (to, from) in place.iter_mut().zip(length(len as u32)) {
            *to = from;
        }
        self.size
    }

    fn begin(out: &'a mut BytesMut) -> Self {
        push_varint(out, frame::HEADERS);
        let start = out.len();
        out.put_slice(&LENGTH);
        push_prefix(out);
        Self {
            out,
            start,
            size: 0,
        }
    }

    fn count(&mut self, name: &[u8], value: &[u8]) {
        self.size += (name.len() + value.len()) as u64 + FIELD_OVERHEAD;
    }
}

/// A length below 2^30 as a variable-length integer of 4 bytes (RFC 9000 §16): it is written when
/// the frame is complete, and its place must not depend on it.
const fn length(len: u32) -> [u8; 4] {
    (0x8000_0000 | len).to_be_bytes()
}

/// A status that the static table has (RFC 9204 Appendix A).
fn static_status(status: u16) -> Option<u8> {
    Some(match status {
        100 => 63,
        103 => 24,
        200 => 25,
        204 => 64,
        206 => 65,
        302 => 66,
        304 => 26,
        400 => 67,
        403 => 68,
        404 => 27,
        421 => 69,
        425 => 70,
        500 => 71,
        503 => 28,
        _ => return None,
    })
}

/// A method that the static table has.
fn static_method(method: &[u8]) -> Option<u8> {
    Some(match method {
        b"CONNECT" => 15,
        b"DELETE" => 16,
        b"GET" => 17,
        b"HEAD" => 18,
        b"OPTIONS" => 19,
        b"POST" => 20,
        b"PUT" => 21,
        _ => return None,
    })
}

/// What stands for a length until it is known.
const LENGTH: [u8; 4] = length(0);

/// Of the static table: `:authority`.
const AUTHORITY: u8 = 0;

/// `:path: /`.
const PATH: u8 = 1;

/// The first `:method`.
const METHOD: u8 = 15;

/// `:scheme: https`.
const SCHEME_HTTPS: u8 = 23;

/// The first `:status`.
const STATUS: u8 = 24;
