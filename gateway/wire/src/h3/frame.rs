//! Frames (RFC 9114 §7), as far as all streams share them.

use bytes::{BufMut, Bytes, BytesMut};

use super::varint::{VarInt, push_varint};
use super::{Code, Error};

/// Appends the head of a DATA frame (RFC 9114 §7.2.1) with `len` bytes of payload: at most 9
/// bytes. The payload is written behind it as it is.
///
/// `len` is below 2^62, as every length in memory is.
pub fn push_data_header(out: &mut impl BufMut, len: u64) {
    push_header(out, DATA, len);
}

/// Appends a GOAWAY frame (RFC 9114 §7.2.6), for the control stream. A server names the lowest
/// request stream that it will not serve; the IDs of later frames may not be higher (§5.2).
///
/// `id` is below 2^62.
pub fn push_goaway(out: &mut impl BufMut, id: u64) {
    push_header(out, GOAWAY, super::varint::varint_len(id) as u64);
    push_varint(out, id);
}

/// Appends type and length of a frame.
pub(super) fn push_header(out: &mut impl BufMut, frame_type: u64, len: u64) {
    push_varint(out, frame_type);
    push_varint(out, len);
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameType {
    CancelPush,
    Data,
    GoAway,
    Headers,
    MaxPushId,
    /// For a request stream (RFC 9218 §7.2).
    PriorityUpdate,
    /// For a push stream.
    PriorityUpdatePush,
    PushPromise,
    /// A type of HTTP/2 without a counterpart: an error wherever it comes (§7.2.8).
    Reserved,
    Settings,
    /// Any other: to be passed over (§9).
    Unknown,
}

impl FrameType {
    fn of(value: u64) -> Self {
        match value {
            DATA => Self::Data,
            HEADERS => Self::Headers,
            0x02 | 0x06 | 0x08 | 0x09 => Self::Reserved,
            0x03 => Self::CancelPush,
            SETTINGS => Self::Settings,
            0x05 => Self::PushPromise,
            GOAWAY => Self::GoAway,
            0x0d => Self::MaxPushId,
            0xf0700 => Self::PriorityUpdate,
            0xf0701 => Self::PriorityUpdatePush,
            _ => Self::Unknown,
        }
    }
}

/// Reads type and length of one frame after the other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FrameHead {
    frame_type: Option<u64>,
    number: VarInt,
}

impl FrameHead {
    /// Takes type and length from the front of `input`; `None` if it is used up before.
    pub(super) fn read(&mut self, input: &mut Bytes) -> Option<(FrameType, u64)> {
        let frame_type = match self.frame_type {
            Some(frame_type) => frame_type,
            None => *self.frame_type.insert(self.number.read(input)?),
        };
        let len = self.number.read(input)?;
        self.frame_type = None;
        Some((FrameType::of(frame_type), len))
    }

    /// Whether no byte of the next frame has come.
    pub(super) fn is_between(self) -> bool {
        self.frame_type.is_none() && self.number.is_between()
    }
}

/// Gathers a payload that is of use as a whole only.
#[derive(Debug, Default)]
pub(super) struct Gather {
    parts: BytesMut,
    left: usize,
}

impl Gather {
    /// Begins with a payload of `len` bytes, which the caller has bounded.
    pub(super) fn begin(&mut self, len: usize) {
        debug_assert!(self.parts.is_empty() && self.left == 0);
        self.left = len;
    }

    /// Takes from the front of `input`; the payload once it is whole. One that came in one piece
    /// is not copied.
    pub(super) fn read(&mut self, input: &mut Bytes) -> Option<Bytes> {
        let part = input.split_to(self.left.min(input.len()));
        self.left -= part.len();
        match (self.left, self.parts.is_empty()) {
            (0, true) => Some(part),
            (0, false) => {
                self.parts.extend_from_slice(&part);
                Some(self.parts.split().freeze())
            }
            (_, _) => {
                self.parts.extend_from_slice(&part);
                None
            }
        }
    }
}

/// Takes up to `left` bytes from the front of `input`.
pub(super) fn take(input: &mut Bytes, left: u64) -> Bytes {
    let len = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
    input.split_to(len)
}

/// What a peer may send that brings nothing on, before it has to send something that does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Idle {
    frames: u32,
    bytes: u64,
}

impl Idle {
    /// Notes a frame with `bytes` of payload that is of no use.
    pub(super) fn note(&mut self, bytes: u64, max_frames: u32) -> Result<(), Error> {
        self.frames += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        match self.frames <= max_frames && self.bytes <= MAX_IDLE_BYTES {
            true => Ok(()),
            // RFC 9114 §10.5: uses of the protocol that do no work are to be bounded.
            false => Err(Error::connection(
                Code::ExcessiveLoad,
                "too many frames that bring nothing on",
            )),
        }
    }
}

/// RFC 9114 §7.2.1.
const DATA: u64 = 0x00;

/// RFC 9114 §7.2.2.
pub(super) const HEADERS: u64 = 0x01;

/// RFC 9114 §7.2.4.
pub(super) const SETTINGS: u64 = 0x04;

/// RFC 9114 §7.2.6.
const GOAWAY: u64 = 0x07;

/// How many bytes unknown frames may hold in a row.
pub(super) const MAX_IDLE_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_heads_are_written() {
        for (len, expected) in [
            (0, &[0x00, 0x00][..]),
            (63, &[0x00, 0x3f]),
            (16_384, &[0x00, 0x80, 0x00, 0x40, 0x00]),
        ] {
            let mut out = Vec::new();
            push_data_header(&mut out, len);
            assert_eq!(out, expected);
        }
        let mut out = Vec::new();
        push_goaway(&mut out, 400);
        assert_eq!(out, [0x07, 0x02, 0x41, 0x90]);
    }

    #[test]
    fn types_of_http_2_are_reserved() {
        for value in 0..64 {
            let reserved = matches!(value, 2 | 6 | 8 | 9);
            assert_eq!(
                FrameType::of(value) == FrameType::Reserved,
                reserved,
                "{value}"
            );
        }
        // §7.2.8: 0x1f * N + 0x21 are there to be passed over.
        for number in 0..100 {
            assert_eq!(FrameType::of(0x1f * number + 0x21), FrameType::Unknown);
        }
    }

    #[test]
    fn a_payload_in_one_piece_is_not_copied() {
        let whole = Bytes::from(b"payload and more".to_vec());
        let mut input = whole.clone();
        let mut gather = Gather::default();
        gather.begin(7);
        let payload = gather.read(&mut input).unwrap();
        assert_eq!(payload.as_ptr(), whole.as_ptr());
        assert_eq!(
            (&payload[..], &input[..]),
            (&b"payload"[..], &b" and more"[..])
        );

        gather.begin(5);
        assert_eq!(gather.read(&mut Bytes::from_static(b"pi")), None);
        assert_eq!(gather.read(&mut Bytes::new()), None);
        let mut input = Bytes::from_static(b"eces");
        assert_eq!(gather.read(&mut input).unwrap(), "piece");
        assert_eq!(input, "s");

        gather.begin(0);
        assert_eq!(gather.read(&mut Bytes::new()).unwrap(), "");
    }
}
