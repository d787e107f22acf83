//! The frames of a request stream (RFC 9114 §4.1): one message, in either direction.

use bytes::Bytes;

use super::frame::{self, FrameHead, FrameType, Gather, Idle};
use super::{Code, Error, Side};

/// Reads one message from a request stream: HEADERS, any number of DATA, possibly HEADERS.
///
/// Bounds: a field section of as many bytes as given to [`Message::new`]; unknown frames and empty
/// ones, [`Message::MAX_IDLE_FRAMES`] of them and [`Message::MAX_IDLE_BYTES`] of what they hold
/// between two frames that bring something on. Beyond those the error is
/// [`Code::ExcessiveLoad`].
#[derive(Debug)]
pub struct Message {
    side: Side,
    max_section: usize,
    order: Order,
    state: State,
    head: FrameHead,
    section: Gather,
    idle: Idle,
}

/// One step of a [`Message`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Payload: a slice of what came in, not a copy. Never empty. A frame is no unit: what of it
    /// has come is given at once.
    Data(Bytes),
    /// The encoded field section of the head.
    Head(Bytes),
    /// What came in is used up.
    NeedMore,
    /// The encoded field section of head or trailers is larger than the bound. Nothing more is
    /// read from the stream. To a head, the answer is 431.
    TooLarge,
    /// The encoded field section of the trailers. No payload follows.
    Trailers(Bytes),
}

impl Message {
    /// A reader for the message of one stream, as `side` reads it, with encoded field sections of
    /// at most `max_section` bytes.
    pub fn new(side: Side, max_section: usize) -> Self {
        Self {
            side,
            max_section,
            order: Order::Head,
            state: State::Between,
            head: FrameHead::default(),
            section: Gather::default(),
            idle: Idle::default(),
        }
    }

    /// Takes what it can from the front of `input`.
    ///
    /// # Errors
    ///
    /// A connection error: a frame that has no place here, or too many that bring nothing on.
    pub fn read(&mut self, input: &mut Bytes) -> Result<Event, Error> {
        loop {
            match self.state {
                State::Between => match self.head.read(input) {
                    Some((frame_type, len)) => self.state = self.begin(frame_type, len)?,
                    None => return Ok(Event::NeedMore),
                },
                State::Data { left } | State::Skip { left } if left > 0 && input.is_empty() => {
                    return Ok(Event::NeedMore);
                }
                State::Data { left } => {
                    let data = frame::take(input, left);
                    self.state = State::Data {
                        left: left - data.len() as u64,
                    }
                    .or_between();
                    self.idle = Idle::default();
                    return Ok(Event::Data(data));
                }
                State::Skip { left } => {
                    let skipped = frame::take(input, left).len() as u64;
                    self.state = State::Skip {
                        left: left - skipped,
                    }
                    .or_between();
                }
                State::Section => {
                    let Some(section) = self.section.read(input) else {
                        return Ok(Event::NeedMore);
                    };
                    self.state = State::Between;
                    self.idle = Idle::default();
                    if self.order == Order::Head {
                        self.order = Order::Data;
                        return Ok(Event::Head(section));
                    }
                    self.order = Order::End;
                    return Ok(Event::Trailers(section));
                }
                State::TooLarge => {
                    self.state = State::Refused;
                    return Ok(Event::TooLarge);
                }
                State::Refused => {
                    input.clear();
                    return Ok(Event::NeedMore);
                }
            }
        }
    }

    /// Whether the peer may end the stream here; to be asked when it has, and everything was read.
    ///
    /// # Errors
    ///
    /// A stream error for a stream without a whole head (RFC 9114 §4.1), a connection error for an
    /// end in the middle of a frame (§7.1).
    pub fn end(&self) -> Result<(), Error> {
        match (self.state, self.order) {
            (State::Refused | State::TooLarge, _) => Ok(()),
            // §7.1: "if the last frame on the stream was truncated".
            (State::Data { .. } | State::Section | State::Skip { .. }, _) => Err(CUT_OFF),
            (State::Between, _) if !self.head.is_between() => Err(CUT_OFF),
            (State::Between, Order::Head) => Err(match self.side {
                Side::Server => Error::stream(Code::RequestIncomplete, "no head before the end"),
                // §4.1.2: an answer that ends before its final head is malformed.
                Side::Client => Error::stream(Code::MessageError, "no head before the end"),
            }),
            (State::Between, _) => Ok(()),
        }
    }

    /// The head that came was of an interim answer (RFC 9114 §4.1): another follows.
    pub fn expect_final_head(&mut self) {
        debug_assert_eq!(self.order, Order::Data);
        self.order = Order::Head;
    }

    /// From here on the stream is a tunnel: DATA only (RFC 9114 §4.4, RFC 9220 §3). To be called
    /// with the head of an extended CONNECT (a server), or its 2xx answer (a client).
    pub fn tunnel(&mut self) {
        debug_assert_eq!(self.order, Order::Data);
        self.order = Order::Tunnel;
    }

    /// Judges a frame by its type and length.
    fn begin(&mut self, frame_type: FrameType, len: u64) -> Result<State, Error> {
        match (frame_type, self.order) {
            (FrameType::Data, Order::Data | Order::Tunnel) if len > 0 => {
                Ok(State::Data { left: len })
            }
            (FrameType::Data, Order::Data | Order::Tunnel) | (FrameType::Unknown, _) => {
                self.idle.note(len, Self::MAX_IDLE_FRAMES)?;
                Ok(State::Skip { left: len }.or_between())
            }
            (FrameType::Headers, Order::Data | Order::Head) => {
                match usize::try_from(len)
                    .ok()
                    .filter(|len| *len <= self.max_section)
                {
                    Some(len) => {
                        self.section.begin(len);
                        Ok(State::Section)
                    }
                    None => Ok(State::TooLarge),
                }
            }
            // §7.2.5: no push ID was ever allowed.
            (FrameType::PushPromise, _) if self.side == Side::Client => {
                Err(Error::connection(Code::IdError, "a push was promised"))
            }
            // §4.1, §4.4: any other order of frames.
            (FrameType::Data | FrameType::Headers, _) => Err(Error::connection(
                Code::FrameUnexpected,
                "DATA or HEADERS out of order",
            )),
            // §7.2.3–§7.2.8, RFC 9218 §7.2.
            _ => Err(Error::connection(
                Code::FrameUnexpected,
                "a frame that no request stream has",
            )),
        }
    }

    /// How many frames that bring nothing on may follow each other.
    pub const MAX_IDLE_FRAMES: u32 = 64;

    /// How many bytes those may hold.
    pub const MAX_IDLE_BYTES: u64 = frame::MAX_IDLE_BYTES;
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Payload or trailers.
    Data,
    /// Nothing but unknown frames.
    End,
    /// The head.
    Head,
    /// Payload until the end.
    Tunnel,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Of the head of a frame.
    Between,
    /// Payload, of which `left` bytes are to come.
    Data { left: u64 },
    /// Of no use: the message was refused, and that was said.
    Refused,
    /// Of a field section.
    Section,
    /// Of no use, and `left` bytes more.
    Skip { left: u64 },
    /// Of a field section that is too large, which is to be said.
    TooLarge,
}

impl State {
    /// A payload of which nothing is left is over.
    fn or_between(self) -> Self {
        match self {
            Self::Data { left: 0 } | Self::Skip { left: 0 } => Self::Between,
            state => state,
        }
    }
}

const CUT_OFF: Error = Error::connection(Code::FrameError, "the stream ends within a frame");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::h3::frame::push_header;

    /// One frame.
    fn frame(frame_type: u64, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push_header(&mut out, frame_type, payload.len() as u64);
        out.extend_from_slice(payload);
        out
    }

    fn headers(section: &str) -> Vec<u8> {
        frame(0x01, section.as_bytes())
    }

    fn data(payload: &str) -> Vec<u8> {
        frame(0x00, payload.as_bytes())
    }

    /// What a message comes to: its events, payload joined, and the error or the verdict at the
    /// end.
    #[derive(Debug, PartialEq, Eq)]
    struct Read {
        head: Vec<String>,
        data: String,
        trailers: Option<String>,
        too_large: bool,
        end: Result<(), Error>,
    }

    fn read_pieces<'a>(mut message: Message, pieces: impl Iterator<Item = &'a [u8]>) -> Read {
        let mut read = Read {
            head: Vec::new(),
            data: String::new(),
            trailers: None,
            too_large: false,
            end: Ok(()),
        };
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        for piece in pieces {
            let mut input = Bytes::copy_from_slice(piece);
            loop {
                match message.read(&mut input) {
                    Ok(Event::Data(data)) => {
                        assert!(!data.is_empty());
                        read.data += &text(data);
                    }
                    Ok(Event::Head(section)) => read.head.push(text(section)),
                    Ok(Event::NeedMore) => break,
                    Ok(Event::TooLarge) => {
                        assert!(!read.too_large, "said twice");
                        read.too_large = true;
                    }
                    Ok(Event::Trailers(section)) => read.trailers = Some(text(section)),
                    Err(error) => {
                        read.end = Err(error);
                        return read;
                    }
                }
            }
            assert!(input.is_empty());
        }
        read.end = message.end();
        read
    }

    /// Reads at once and in all splits, which must agree.
    fn read_by(side: Side, stream: &[u8]) -> Read {
        let message = || Message::new(side, 16);
        let at_once = read_pieces(message(), std::iter::once(stream));
        for size in 1..4 {
            assert_eq!(read_pieces(message(), stream.chunks(size)), at_once);
        }
        for cut in 0..stream.len() {
            let (one, other) = stream.split_at(cut);
            assert_eq!(read_pieces(message(), [one, other].into_iter()), at_once);
        }
        at_once
    }

    fn read(frames: &[Vec<u8>]) -> Read {
        read_by(Side::Server, &frames.concat())
    }

    fn refused(frames: &[Vec<u8>], code: Code) {
        let error = read(frames).end.unwrap_err();
        assert_eq!(error.code(), code, "{frames:x?}");
        assert!(error.ends_connection(), "{frames:x?}");
    }

    #[test]
    fn a_message_is_head_data_and_trailers() {
        for (frames, payload, trailers) in [
            (&[headers("head")][..], "", None),
            (&[headers("head"), data("a"), data("bcd")], "abcd", None),
            (&[headers("head"), data(""), data("a")], "a", None),
            (&[headers("head"), headers("end")], "", Some("end")),
            (
                &[headers("head"), data("a"), headers("end")],
                "a",
                Some("end"),
            ),
            // §9: unknown frames are passed over, wherever they are.
            (
                &[
                    frame(0x21, b"grease"),
                    headers("head"),
                    frame(0x40, b""),
                    data("a"),
                    frame(0x21, b"x"),
                    headers("end"),
                    frame(0xf0702, b"y"),
                ],
                "a",
                Some("end"),
            ),
        ] {
            let read = read(frames);
            assert_eq!(read.head, ["head"]);
            assert_eq!(read.data, payload);
            assert_eq!(read.trailers.as_deref(), trailers);
            assert_eq!(read.end, Ok(()));
        }
    }

    #[test]
    fn payload_is_not_copied() {
        let mut message = Message::new(Side::Server, 16);
        let stream = Bytes::from([headers("head"), data("payload")].concat());
        let mut input = stream.clone();
        assert!(matches!(message.read(&mut input), Ok(Event::Head(_))));
        let Ok(Event::Data(payload)) = message.read(&mut input) else {
            panic!("no payload");
        };
        assert_eq!(payload.as_ptr_range().end, stream.as_ptr_range().end);
    }

    #[test]
    fn frames_out_of_order_are_unexpected() {
        for frames in [
            &[data("a")][..],
            &[data("")],
            &[headers("a"), headers("b"), headers("c")],
            &[headers("a"), headers("b"), data("c")],
            &[headers("a"), headers("b"), data("")],
        ] {
            refused(frames, Code::FrameUnexpected);
        }
    }

    /// CANCEL_PUSH, SETTINGS, PUSH_PROMISE from a client, GOAWAY, MAX_PUSH_ID, PRIORITY_UPDATE, and
    /// what was HTTP/2's.
    #[test]
    fn frames_of_other_streams_are_unexpected() {
        for frame_type in [
            0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0d, 0xf0700, 0xf0701,
        ] {
            let bad = frame(frame_type, b"\0");
            refused(std::slice::from_ref(&bad), Code::FrameUnexpected);
            refused(&[headers("a"), bad.clone()], Code::FrameUnexpected);
            refused(&[headers("a"), headers("b"), bad], Code::FrameUnexpected);
        }
    }

    #[test]
    fn a_promised_push_is_a_wrong_id_to_a_client() {
        let stream = [headers("a"), frame(0x05, b"\0")].concat();
        let error = read_by(Side::Client, &stream).end.unwrap_err();
        assert_eq!(
            (error.code(), error.ends_connection()),
            (Code::IdError, true)
        );
    }

    #[test]
    fn an_end_within_a_frame_is_a_frame_error() {
        let whole = [headers("head"), data("data"), frame(0x4021, b"skip")].concat();
        let mut good = 0;
        for cut in 0..=whole.len() {
            let end = read_by(Side::Server, &whole[..cut]).end;
            if let Err(error) = end
                && cut > 0
            {
                assert_eq!(error.code(), Code::FrameError, "{cut}");
                assert!(error.ends_connection(), "{cut}");
            } else if cut > 0 {
                good += 1;
            }
        }
        assert_eq!(good, 3);
    }

    #[test]
    fn a_stream_without_a_head_is_incomplete() {
        for stream in [&b""[..], &frame(0x21, b"grease")] {
            for (side, code) in [
                (Side::Server, Code::RequestIncomplete),
                (Side::Client, Code::MessageError),
            ] {
                let error = read_by(side, stream).end.unwrap_err();
                assert_eq!((error.code(), error.ends_connection()), (code, false));
            }
        }
    }

    #[test]
    fn a_section_is_bounded() {
        assert_eq!(read(&[headers(&"a".repeat(16))]).head.len(), 1);
        for frames in [
            &[headers(&"a".repeat(17))][..],
            &[headers(&"a".repeat(17)), data("a"), data(&"b".repeat(99))],
            // The length alone is enough, and nothing behind it is looked at.
            &[vec![0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
            &[headers(&"a".repeat(17)), frame(0x02, b"")],
        ] {
            let read = read(frames);
            assert!(read.too_large && read.head.is_empty() && read.data.is_empty());
            assert_eq!(read.end, Ok(()));
        }
        let read = read(&[headers("a"), data("b"), headers(&"c".repeat(17))]);
        assert_eq!((read.head.len(), read.data.as_str()), (1, "b"));
        assert!(read.too_large && read.trailers.is_none());
    }

    #[test]
    fn frames_that_bring_nothing_on_are_bounded() {
        let most = Message::MAX_IDLE_FRAMES as usize;
        for idle in [data(""), frame(0x21, b""), frame(0x21, b"x")] {
            let flood = |count| [headers("a"), idle.repeat(count)].concat();
            let judge = |stream: &[u8]| {
                let message = Message::new(Side::Server, 16);
                read_pieces(message, stream.chunks(7)).end
            };
            assert_eq!(judge(&flood(most)), Ok(()));
            assert_eq!(
                judge(&flood(most + 1)).map_err(|error| error.code()),
                Err(Code::ExcessiveLoad)
            );
            // Payload between them brings something on.
            let mixed = [flood(most), data("b"), idle.repeat(most)].concat();
            assert_eq!(judge(&mixed), Ok(()));
        }
    }

    #[test]
    fn bytes_that_bring_nothing_on_are_bounded() {
        let judge = |frames: &[&[u8]]| {
            let message = Message::new(Side::Server, 16);
            read_pieces(message, frames.iter().copied()).end
        };
        let half = frame(0x21, &vec![b'x'; Message::MAX_IDLE_BYTES as usize / 2]);
        let head = headers("a");
        assert_eq!(judge(&[&head, &half, &half]), Ok(()));
        let too_much = judge(&[&head, &half, &half, &frame(0x21, b"x")]);
        assert_eq!(
            too_much.map_err(|error| error.code()),
            Err(Code::ExcessiveLoad)
        );
        // The length alone is enough.
        let announced = [0x21, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        let announced = judge(&[&head, &announced]);
        assert_eq!(
            announced.map_err(|error| error.code()),
            Err(Code::ExcessiveLoad)
        );
    }

    #[test]
    fn a_tunnel_is_data_only() {
        let tunnel = |frames: &[Vec<u8>]| {
            let mut message = Message::new(Side::Server, 16);
            let mut head = Bytes::from(headers("connect"));
            assert!(matches!(message.read(&mut head), Ok(Event::Head(_))));
            message.tunnel();
            read_pieces(message, frames.iter().map(Vec::as_slice))
        };
        let good = tunnel(&[data("a"), frame(0x21, b"x"), data("b")]);
        assert_eq!((good.data.as_str(), good.end), ("ab", Ok(())));
        for bad in [headers("trailers"), frame(0x04, b"")] {
            let error = tunnel(&[data("a"), bad]).end.unwrap_err();
            assert_eq!(error.code(), Code::FrameUnexpected);
        }
    }

    #[test]
    fn interim_heads_come_before_the_final_one() {
        let mut message = Message::new(Side::Client, 16);
        for head in ["100", "103"] {
            let mut input = Bytes::from(headers(head));
            assert_eq!(message.read(&mut input), Ok(Event::Head(head.into())));
            message.expect_final_head();
        }
        assert!(message.end().is_err(), "no final head");
        let rest = [headers("200"), data("a"), headers("end")].concat();
        let read = read_pieces(message, std::iter::once(&rest[..]));
        assert_eq!(
            (read.head, read.data.as_str()),
            (vec!["200".to_owned()], "a")
        );
        assert_eq!((read.trailers.as_deref(), read.end), (Some("end"), Ok(())));

        let mut message = Message::new(Side::Client, 16);
        let mut input = Bytes::from([headers("103"), data("a")].concat());
        assert!(matches!(message.read(&mut input), Ok(Event::Head(_))));
        message.expect_final_head();
        let error = message.read(&mut input).unwrap_err();
        assert_eq!(error.code(), Code::FrameUnexpected);
    }

    /// Frames of all types, so that random streams come far.
    fn frames() -> impl Strategy<Value = Vec<u8>> {
        let types = vec![0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 7, 0x0d, 0x21, 0x21, 0xf0700];
        let one = (prop::sample::select(types), "[a-z]{0,18}");
        prop::collection::vec(one, 0..6).prop_map(|frames| {
            let frames = frames.iter();
            frames
                .flat_map(|(frame_type, payload)| frame(*frame_type, payload.as_bytes()))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn any_split_means_the_same(stream in frames(), cut in any::<prop::sample::Index>()) {
            let cut = cut.index(stream.len() + 1);
            read_by(Side::Server, &stream[..cut]);
            read_by(Side::Client, &stream);
        }
    }
}
