//! WebSocket framing (RFC 6455 §5.2), as far as one who only passes frames on has to know it:
//! where a frame ends, and whether the stream can take a frame of ours there.
//!
//! Payload is never looked at, kept or changed; extensions (RFC 7692) do not matter.

use bytes::{Buf, Bytes, BytesMut};

/// Follows one direction of a WebSocket, slice by slice. However the bytes are split, it comes to
/// the same.
///
/// What cannot be a frame (a reserved opcode, a control frame that is fragmented or longer than
/// 125 bytes, a length of 2^63 or more: §5.2, §5.5) ends its knowledge: from there on the stream
/// has no more boundaries.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    state: State,
    /// Payload bytes of the frame whose head passes, as far as they are known.
    length: u64,
    /// Whether that frame is a close.
    closing: bool,
    closed: bool,
    data: u64,
}

/// What a frame is for (§5.2, §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opcode {
    Close,
    /// Text, binary, continuation.
    Data,
    /// Ping or pong.
    Heartbeat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between two frames.
    #[default]
    Boundary,
    /// The second byte comes: mask bit and short length.
    Second { control: bool },
    /// So many bytes of an extended length are to come.
    Length { left: u8, masked: bool },
    /// So many bytes of mask and payload are to come.
    Body { left: u64 },
    /// The stream is no WebSocket, or not any more.
    Lost,
}

impl Frames {
    /// Notes bytes that pass.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = self.pass_frame(bytes);
            debug_assert!(used > 0);
            bytes = bytes.get(used..).unwrap_or_default();
        }
    }

    /// Notes bytes that pass, up to the end of the frame that they belong to, and returns how many
    /// they are: all, unless the frame ends among them. Never 0, unless there are none.
    pub fn pass_frame(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            used += self.step(rest);
            if self.state == State::Boundary {
                break;
            }
        }
        used
    }

    /// Whether a control frame may be inserted here: between two frames, of one message or of two
    /// (§5.4), and before any close frame (§5.5.1).
    pub fn can_insert(&self) -> bool {
        self.state == State::Boundary && !self.closed
    }

    /// Whether a whole close frame has passed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many data frames have begun; wraps around.
    pub fn data(&self) -> u64 {
        self.data
    }

    /// Takes one byte of a head, or what there is of a body.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let Some(&byte) = bytes.first() else {
            return 0;
        };
        match self.state {
            State::Boundary => self.state = self.first(byte),
            State::Second { control } => self.state = self.second(byte, control),
            State::Length { left, masked } => {
                self.length = self.length << 8 | u64::from(byte);
                self.state = match left {
                    // Eight bytes, of which the first bit must be 0.
                    8 if byte & 0x80 != 0 => State::Lost,
                    1 => State::body(self.length, masked),
                    _ => State::Length {
                        left: left - 1,
                        masked,
                    },
                };
            }
            State::Body { left } => {
                let here = bytes.len() as u64;
                self.state = State::rest(left.saturating_sub(here));
                self.ended();
                return usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
            }
            State::Lost => return bytes.len(),
        }
        self.ended();
        1
    }

    fn first(&mut self, byte: u8) -> State {
        let fin = byte & 0x80 != 0;
        let opcode = match byte & 0x0f {
            0..=2 => Opcode::Data,
            8 if fin => Opcode::Close,
            9 | 10 if fin => Opcode::Heartbeat,
            _ => return State::Lost,
        };
        self.closing = opcode == Opcode::Close;
        if opcode == Opcode::Data {
            self.data = self.data.wrapping_add(1);
        }
        State::Second {
            control: opcode != Opcode::Data,
        }
    }

    fn second(&mut self, byte: u8, control: bool) -> State {
        let masked = byte & 0x80 != 0;
        self.length = 0;
        match byte & 0x7f {
            126 | 127 if control => State::Lost,
            126 => State::Length { left: 2, masked },
            127 => State::Length { left: 8, masked },
            length => State::body(u64::from(length), masked),
        }
    }

    fn ended(&mut self) {
        if self.state == State::Boundary && self.closing {
            self.closed = true;
        }
    }
}

impl State {
    fn body(length: u64, masked: bool) -> Self {
        // Below 2^63, so this cannot overflow.
        Self::rest(length.saturating_add(if masked { MASK as u64 } else { 0 }))
    }

    fn rest(left: u64) -> Self {
        match left {
            0 => Self::Boundary,
            left => Self::Body { left },
        }
    }
}

/// The direction from the client, without the pongs that answer the gateway's own pings: the
/// back-end did not ask for them.
///
/// All other bytes go on as they came. Of a pong that may be the gateway's own, at most
/// 13 bytes wait for the rest of it.
#[derive(Clone, Debug)]
pub struct FromClient {
    frames: Frames,
    own: Option<Mark>,
}

/// The payload of the gateway's pings on one connection. Nobody else may be able to guess it, so
/// that each pong with it answers the gateway (§5.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub [u8; 8]);

impl FromClient {
    /// The direction of a client that is pinged with that mark, or not at all.
    pub fn new(own: Option<Mark>) -> Self {
        Self {
            frames: Frames::default(),
            own,
        }
    }

    /// What has passed.
    pub fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Takes from the front of `buffer` what is to go on, as a slice of it; `None` if there is
    /// nothing (yet).
    pub fn take(&mut self, buffer: &mut BytesMut) -> Option<Bytes> {
        let Some(mark) = self.own else {
            self.frames.pass(buffer);
            return (!buffer.is_empty()).then(|| buffer.split().freeze());
        };
        let mut used = 0;
        loop {
            let rest = buffer.get(used..).unwrap_or_default();
            let pong = match self.frames.state {
                State::Boundary => mark.begins(rest),
                _ => Begins::Other,
            };
            match pong {
                Begins::Other if !rest.is_empty() => used += self.frames.pass_frame(rest),
                Begins::Own if used == 0 => buffer.advance(OWN_PONG),
                // What comes before it goes first.
                _ => break,
            }
        }
        (used > 0).then(|| buffer.split_to(used).freeze())
    }

    /// Takes what still waits, once nothing more can come.
    pub fn take_rest(&mut self, buffer: &mut BytesMut) -> Option<Bytes> {
        self.frames.pass(buffer);
        (!buffer.is_empty()).then(|| buffer.split().freeze())
    }
}

/// What a frame's first bytes say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    Other,
    /// A pong with our mark, whole.
    Own,
    /// Too few bytes to say.
    Unclear,
}

impl Mark {
    fn begins(self, bytes: &[u8]) -> Begins {
        let head = [0x8a, 0x80 | self.0.len() as u8];
        let known = bytes.len().min(head.len());
        if bytes.get(..known) != head.get(..known) {
            return Begins::Other;
        }
        let Some((mask, payload)) = bytes
            .get(head.len()..OWN_PONG)
            .and_then(|rest| rest.split_at_checked(MASK))
        else {
            return Begins::Unclear;
        };
        let unmasked = payload.iter().zip(mask.iter().cycle()).map(|(p, m)| p ^ m);
        match unmasked.eq(self.0) {
            true => Begins::Own,
            false => Begins::Other,
        }
    }
}

/// A ping to a client, from a server: not masked (§5.1).
pub fn ping(mark: Mark) -> Bytes {
    control(0x89, &mark.0)
}

/// A close frame to a client, from a server, with a status code (§7.4) and a reason of at most
/// 123 bytes; more of it is cut off.
pub fn close(code: u16, reason: &'static str) -> Bytes {
    let text = reason.bytes().take(CONTROL_MAX - 2);
    let payload: Vec<u8> = code.to_be_bytes().into_iter().chain(text).collect();
    control(0x88, &payload)
}

fn control(first: u8, payload: &[u8]) -> Bytes {
    debug_assert!(payload.len() <= CONTROL_MAX);
    [&[first, payload.len() as u8], payload].concat().into()
}

/// Bytes of a masking key.
const MASK: usize = 4;

/// The most payload of a control frame (§5.5).
const CONTROL_MAX: usize = 125;

/// Bytes of a masked pong with a mark.
const OWN_PONG: usize = 2 + MASK + 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame; its payload is masked with the key, if there is one.
    fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
        let masked = if key.is_some() { 0x80 } else { 0 };
        let mut out = vec![first];
        match payload.len() {
            short @ ..=125 => out.push(masked | short as u8),
            middle @ ..=0xffff => {
                out.push(masked | 126);
                out.extend((middle as u16).to_be_bytes());
            }
            long => {
                out.push(masked | 127);
                out.extend((long as u64).to_be_bytes());
            }
        }
        out.extend(
            key.unwrap_or_default()
                .iter()
                .take(if masked > 0 { 4 } else { 0 }),
        );
        let key = key.unwrap_or_default();
        out.extend(payload.iter().zip(key.iter().cycle()).map(|(p, k)| p ^ k));
        out
    }

    /// Where, within the bytes, a frame may be inserted.
    fn boundaries(bytes: &[u8]) -> Vec<usize> {
        let mut frames = Frames::default();
        let mut at = Vec::new();
        for (index, byte) in bytes.iter().enumerate() {
            if frames.can_insert() {
                at.push(index);
            }
            frames.pass(&[*byte]);
        }
        if frames.can_insert() {
            at.push(bytes.len());
        }
        at
    }

    #[test]
    fn frames_of_every_length_end_where_they_end() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            for key in [None, Some([1, 2, 3, 4])] {
                let bytes = frame(0x82, &vec![0x88; length], key);
                assert_eq!(boundaries(&bytes), [0, bytes.len()], "{length} {key:?}");
                let mut frames = Frames::default();
                let two = [&bytes[..], &bytes[..]].concat();
                assert_eq!(frames.pass_frame(&two), bytes.len());
                assert_eq!(frames.data(), 1);
                assert_eq!(frames.pass_frame(&bytes[..1]), 1);
                assert!(!frames.can_insert());
            }
        }
    }

    #[test]
    fn control_frames_fit_between_fragments_and_nothing_fits_behind_a_close() {
        let parts = [
            frame(0x01, b"ab", None),
            frame(0x89, b"ping", None),
            frame(0x80, b"c", None),
            frame(0x88, &[0x03, 0xe8], None),
            frame(0x81, b"late", None),
        ];
        let bytes = parts.concat();
        assert_eq!(boundaries(&bytes), [0, 4, 10, 13]);
        let mut frames = Frames::default();
        frames.pass(&bytes[..16]);
        assert!(!frames.is_closed(), "half a close frame is none");
        frames.pass(&bytes[16..17]);
        assert!(frames.is_closed());
        frames.pass(&bytes[17..]);
        assert!(frames.is_closed() && !frames.can_insert());
    }

    #[test]
    fn what_is_no_frame_has_no_boundaries() {
        for bad in [
            &[0x83, 0][..],
            &[0x8b, 0],
            &[0x08, 0],
            &[0x09, 0],
            &[0x88, 126, 0, 126],
            &[0x8a, 127],
            &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ] {
            let good = frame(0x81, b"x", None);
            let bytes = [bad, &good, &good].concat();
            assert_eq!(boundaries(&bytes), [0], "{bad:x?}");
        }
        // The largest length that may be.
        let mut frames = Frames::default();
        frames.pass(&[0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255]);
        assert_eq!(
            frames.state,
            State::Body {
                left: (1 << 63) - 1 + 4
            }
        );
    }

    #[test]
    fn own_frames_are_what_they_say() {
        assert_eq!(ping(MARK), [&[0x89, 8], &MARK.0[..]].concat());
        assert_eq!(close(1001, "bye"), b"\x88\x05\x03\xe9bye"[..]);
        let long = "x".repeat(200).leak();
        assert_eq!(close(1008, long).len(), 2 + 125);
        for bytes in [ping(MARK), close(1001, "bye")] {
            let mut frames = Frames::default();
            assert_eq!(frames.pass_frame(&bytes), bytes.len());
            assert_eq!(frames.state, State::Boundary);
        }
    }

    #[test]
    fn a_pong_with_our_mark_does_not_go_on() {
        let own = frame(0x8a, &MARK.0, Some([9, 8, 7, 6]));
        let other = frame(0x8a, b"another?", Some([9, 8, 7, 6]));
        let text = frame(0x81, &own, Some([0; 4]));
        for (sent, passed) in [
            ([&own[..], &[], &[]], [&[][..], &[]]),
            ([&text, &own, &other], [&text, &other]),
            ([&other, &own, &text], [&other, &text]),
            ([&own, &own, &text], [&text, &[]]),
        ] {
            assert_eq!(relay(&sent.concat(), &[], Some(MARK)), passed.concat());
            assert_eq!(relay(&sent.concat(), &[], None), sent.concat());
        }
        // Half of one is what it is, when nothing more comes.
        assert_eq!(relay(&own[..13], &[], Some(MARK)), own[..13]);
    }

    #[test]
    fn only_the_beginning_of_such_a_pong_waits() {
        let own = frame(0x8a, &MARK.0, Some([9, 8, 7, 6]));
        let mut from = FromClient::new(Some(MARK));
        let mut buffer = BytesMut::from(&own[..13]);
        assert_eq!(from.take(&mut buffer), None);
        buffer.extend_from_slice(&own[13..]);
        assert_eq!(from.take(&mut buffer), None);
        assert!(buffer.is_empty());
        buffer.extend_from_slice(&[0x8a, 0x83]);
        assert_eq!(from.take(&mut buffer).as_deref(), Some(&[0x8a, 0x83][..]));
    }

    /// What goes on of bytes that come in pieces of these lengths, and then the rest.
    fn relay(bytes: &[u8], lens: &[usize], mark: Option<Mark>) -> Vec<u8> {
        let mut from = FromClient::new(mark);
        let mut buffer = BytesMut::new();
        let mut passed = Vec::new();
        let mut rest = bytes;
        for len in lens.iter().copied().chain([usize::MAX]) {
            let (piece, tail) = rest.split_at(len.min(rest.len()));
            rest = tail;
            buffer.extend_from_slice(piece);
            while let Some(bytes) = from.take(&mut buffer) {
                assert!(!bytes.is_empty());
                passed.extend_from_slice(&bytes);
            }
            assert!(buffer.len() < OWN_PONG, "more is kept than a pong");
        }
        if let Some(bytes) = from.take_rest(&mut buffer) {
            passed.extend_from_slice(&bytes);
        }
        passed
    }

    const MARK: Mark = Mark(*b"\x01\x02\x03\x04\xfa\xfb\xfc\xfd");

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let first = prop::sample::select(&[0x00_u8, 0x01, 0x80, 0x82, 0xc1, 0x89, 0x8a][..]);
        let payload = prop_oneof![
            Just(MARK.0.to_vec()),
            prop::collection::vec(any::<u8>(), 0..125),
            prop::collection::vec(any::<u8>(), 126..300),
        ];
        let key = prop::option::of(any::<[u8; 4]>());
        (first, payload, key).prop_map(|(first, mut payload, key)| {
            if first & 0x08 != 0 {
                payload.truncate(125);
            }
            frame(first, &payload, key)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_split_finds_the_same_boundaries(
            parts in prop::collection::vec(any_frame(), 0..8),
            lens in prop::collection::vec(1_usize..90, 0..60),
        ) {
            let bytes = parts.concat();
            let mut ends = vec![0];
            for part in &parts {
                ends.push(ends.last().unwrap() + part.len());
            }
            ends.dedup();
            prop_assert_eq!(boundaries(&bytes), &ends[..]);
            let mut frames = Frames::default();
            let mut at = 0;
            for len in lens {
                let next = bytes.len().min(at + len);
                frames.pass(&bytes[at..next]);
                at = next;
                prop_assert_eq!(frames.can_insert(), ends.contains(&at));
            }
        }

        #[test]
        fn any_bytes_mean_the_same_however_they_are_split(
            bytes in prop::collection::vec(
                prop::sample::select(&b"\x81\x01\x88\x8a\x00\x7e\x7f\xfe\x02\x83"[..]),
                0..60,
            ),
            lens in prop::collection::vec(0_usize..6, 0..40),
        ) {
            let mut whole = Frames::default();
            whole.pass(&bytes);
            let mut split = Frames::default();
            let mut rest = &bytes[..];
            for len in lens.into_iter().chain([usize::MAX]) {
                let (piece, tail) = rest.split_at(len.min(rest.len()));
                split.pass(piece);
                rest = tail;
            }
            prop_assert_eq!(format!("{whole:?}"), format!("{split:?}"));
        }

        #[test]
        fn a_split_changes_nothing_of_what_goes_on(
            parts in prop::collection::vec(any_frame(), 0..8),
            rest in prop::collection::vec(any::<u8>(), 0..20),
            lens in prop::collection::vec(0_usize..30, 0..60),
        ) {
            let bytes = [parts.concat(), rest].concat();
            prop_assert_eq!(&relay(&bytes, &lens, None), &bytes);
            let passed = relay(&bytes, &[], Some(MARK));
            prop_assert_eq!(relay(&bytes, &lens, Some(MARK)), passed);
        }
    }
}
