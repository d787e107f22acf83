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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::h3::{Event, Message, Side, parse_answer, parse_request};
    use crate::head::AnswerHead;

    /// The one field section of a stream.
    fn section(side: Side, stream: &BytesMut) -> Bytes {
        let mut message = Message::new(side, 1 << 20);
        let mut input = stream.clone().freeze();
        let Ok(Event::Head(section)) = message.read(&mut input) else {
            panic!("no head");
        };
        assert_eq!((input.len(), message.end()), (0, Ok(())));
        section
    }

    fn read_answer(stream: &BytesMut, size: u64) -> AnswerHead {
        let section = section(Side::Client, stream);
        let arena = &mut BytesMut::new();
        // The size that was returned is the one that a reader counts.
        assert!(parse_answer(&section, size - 1, arena, Vec::new()).is_err());
        parse_answer(&section, size, arena, Vec::new()).unwrap()
    }

    #[test]
    fn every_status_is_written() {
        for status in (100..=599).filter(|status| *status != 101) {
            let mut out = BytesMut::new();
            let size = HeadWriter::answer(&mut out, status).finish();
            assert_eq!(size, 42);
            assert_eq!(read_answer(&out, size).status(), status);
        }
    }

    #[test]
    fn a_usual_answer_is_short() {
        let mut out = BytesMut::from(&b"before"[..]);
        let mut writer = HeadWriter::answer(&mut out, 200);
        writer.field(b"Content-Type", b"text/html; charset=utf-8");
        writer.field(b"Content-Length", b"0");
        writer.field(b"X-Frame-Options", b"DENY");
        let size = writer.finish();
        let expected = [
            &b"before\x01\x80\x00\x00\x0c\x00\x00"[..],
            &[0xc0 | 25, 0xc0 | 52, 0xc0 | 4],
            // The name is the table's, the value is by Huffman no shorter.
            &[0x5f, 97 - 15, 0x04],
            b"DENY",
        ];
        let expected = expected.concat();
        assert_eq!(out, expected);
        assert_eq!(size, 42 + (12 + 24 + 32) + (14 + 1 + 32) + (15 + 4 + 32));
    }

    #[test]
    fn requests_are_written() {
        for (method, authority, target, protocol) in [
            ("GET", "a.example", "/", None),
            ("PATCH", "a.example:8443", "/x?y=z", None),
            ("CONNECT", "a.example", "/ws", Some("websocket")),
        ] {
            let mut out = BytesMut::new();
            let protocol = protocol.map(str::as_bytes);
            let (method, target) = (method.as_bytes(), target.as_bytes());
            let mut writer =
                HeadWriter::request(&mut out, method, authority.as_bytes(), target, protocol);
            writer.field(b"Sec-WebSocket-Version", b"13");
            let size = writer.finish();
            let section = section(Side::Server, &out);
            let arena = &mut BytesMut::new();
            let parse = |size| parse_request(&section, size, arena, Vec::new(), || [0; 16]);
            let mut parse = parse;
            assert!(parse(size - 1).is_err());
            let request = parse(size).unwrap().message;
            let head = request.head;
            let expected = if protocol.is_some() { b"GET" } else { method };
            assert_eq!(head.method_bytes(), expected);
            assert_eq!(head.authority(), authority.as_bytes());
            let query = head.query().map(|query| [b"?", query].concat());
            let found = [head.path(), &query.unwrap_or_default()].concat();
            assert_eq!(found, target);
            assert_eq!(request.websocket, protocol.is_some());
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            status in 200_u16..600,
            lines in prop::collection::vec(
                (
                    prop_oneof![
                        "[Xx]-[A-Za-z_.-]{1,20}",
                        Just("Set-Cookie".to_owned()),
                        Just("Cache-Control".to_owned()),
                        Just("vary".to_owned()),
                    ],
                    prop_oneof![
                        "([!-~\u{80}-\u{ff}]([\t -~]{0,99}[!-~])?)?",
                        Just("no-cache".to_owned()),
                        Just("origin".to_owned()),
                    ],
                ),
                0..20,
            ),
        ) {
            let mut out = BytesMut::new();
            let mut writer = HeadWriter::answer(&mut out, status);
            for (name, value) in &lines {
                writer.field(name.as_bytes(), value.as_bytes());
            }
            let size = writer.finish();
            let head = read_answer(&out, size);
            prop_assert_eq!(head.status(), status);
            prop_assert_eq!(head.fields().len(), lines.len());
            for (found, (name, value)) in head.fields().iter().zip(&lines) {
                prop_assert_eq!(found.name, &name.to_ascii_lowercase().into_bytes()[..]);
                prop_assert_eq!(found.value, value.as_bytes());
            }
        }
    }
}
