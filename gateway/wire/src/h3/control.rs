//! The peer's control stream (RFC 9114 §6.2.1).

use bytes::Bytes;

use super::frame::{self, FrameHead, FrameType, Gather, Idle};
use super::varint::split_varint;
use super::{Code, Error, Priority, Settings, Side};

/// Reads a control stream, behind its type: SETTINGS first and once, then what may follow.
///
/// Server push is not served: nothing of it but a MAX_PUSH_ID that does not shrink is allowed.
///
/// Bounds: [`ControlStream::MAX_FRAMES`] frames between two requests
/// ([`ControlStream::note_request`]), 1 KiB of settings or of a priority, 64 KiB of unknown frames
/// between two requests. Beyond those the error is [`Code::ExcessiveLoad`].
#[derive(Debug)]
pub struct ControlStream {
    side: Side,
    state: State,
    head: FrameHead,
    payload: Gather,
    idle: Idle,
    /// Whether the settings have begun.
    has_settings: bool,
    /// The last GOAWAY.
    last: Option<u64>,
    max_push_id: u64,
}

/// What a control stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The peer wants no more (RFC 9114 §5.2). From a server: the lowest stream that it will not
    /// serve; from a client: a push ID, of no meaning here. Never higher than before.
    GoAway(u64),
    /// What came in is used up.
    NeedMore,
    /// The client's wish for the answer on a request stream (RFC 9218 §7.1), which may not exist
    /// yet, or any more.
    ///
    /// A stream beyond the limit of streams is [`Code::IdError`] (§7.2), which only the connection
    /// can tell.
    Priority {
        /// The stream, client-initiated and bidirectional.
        stream: u64,
        /// The wish.
        priority: Priority,
    },
    /// The peer's settings: the first that comes.
    Settings(Settings),
}

impl ControlStream {
    /// A reader for the control stream, as `side` reads it.
    pub fn new(side: Side) -> Self {
        Self {
            side,
            state: State::Between,
            head: FrameHead::default(),
            payload: Gather::default(),
            idle: Idle::default(),
            has_settings: false,
            last: None,
            max_push_id: 0,
        }
    }

    /// Takes what it can from the front of `input`.
    ///
    /// # Errors
    ///
    /// A connection error: the first frame is not SETTINGS, a frame has no place here, an ID is
    /// wrong, or too much comes. The end of the stream is one, too, of
    /// [`Code::ClosedCriticalStream`] (§6.2.1), which the caller sees.
    pub fn read(&mut self, input: &mut Bytes) -> Result<Control, Error> {
        loop {
            match self.state {
                State::Between => match self.head.read(input) {
                    Some((frame_type, len)) => self.state = self.begin(frame_type, len)?,
                    None => return Ok(Control::NeedMore),
                },
                State::Payload(frame_type) => {
                    let Some(payload) = self.payload.read(input) else {
                        return Ok(Control::NeedMore);
                    };
                    self.state = State::Between;
                    if let Some(control) = self.judge(frame_type, &payload)? {
                        return Ok(control);
                    }
                }
                State::Skip { left: 0 } => self.state = State::Between,
                State::Skip { .. } if input.is_empty() => return Ok(Control::NeedMore),
                State::Skip { left } => {
                    let skipped = frame::take(input, left).len() as u64;
                    self.state = State::Skip {
                        left: left - skipped,
                    };
                }
            }
        }
    }

    /// Notes a new request: a client that asks may also say more here.
    pub fn note_request(&mut self) {
        self.idle = Idle::default();
    }

    /// Judges a frame by its type and length.
    fn begin(&mut self, frame_type: FrameType, len: u64) -> Result<State, Error> {
        if frame_type == FrameType::Settings && !self.has_settings {
            self.has_settings = true;
            return self.gather(frame_type, len);
        }
        // §6.2.1: also an unknown frame may not come before.
        if !self.has_settings {
            let why = "the control stream does not begin with SETTINGS";
            return Err(Error::connection(Code::MissingSettings, why));
        }
        let skipped = match frame_type {
            FrameType::Unknown => len,
            _ => 0,
        };
        self.idle.note(skipped, Self::MAX_FRAMES)?;
        match (frame_type, self.side) {
            (FrameType::CancelPush | FrameType::GoAway, _)
            | (FrameType::MaxPushId, Side::Server) => match len {
                1..=8 => self.gather(frame_type, len),
                _ => Err(BAD_LAYOUT),
            },
            (FrameType::PriorityUpdate | FrameType::PriorityUpdatePush, Side::Server) => {
                self.gather(frame_type, len)
            }
            (FrameType::Unknown, _) => Ok(State::Skip { left: len }),
            // §7.2.1–§7.2.8, RFC 9218 §7.2; a second SETTINGS: §7.2.4.
            _ => Err(Error::connection(
                Code::FrameUnexpected,
                "a frame that no control stream has here",
            )),
        }
    }

    fn gather(&mut self, frame_type: FrameType, len: u64) -> Result<State, Error> {
        match usize::try_from(len) {
            Ok(len @ ..=MAX_PAYLOAD) => {
                self.payload.begin(len);
                Ok(State::Payload(frame_type))
            }
            _ => Err(Error::connection(
                Code::ExcessiveLoad,
                "too large a frame on the control stream",
            )),
        }
    }

    /// Judges a whole frame.
    fn judge(&mut self, frame_type: FrameType, payload: &[u8]) -> Result<Option<Control>, Error> {
        if frame_type == FrameType::Settings {
            return Settings::parse(payload).map(|settings| Some(Control::Settings(settings)));
        }
        let (id, rest) = split_varint(payload).ok_or(BAD_LAYOUT)?;
        let is_request = id.is_multiple_of(4);
        match frame_type {
            FrameType::PriorityUpdate if is_request => Ok(Some(Control::Priority {
                stream: id,
                priority: Priority::parse(rest),
            })),
            FrameType::PriorityUpdate => Err(Error::connection(
                Code::IdError,
                "a priority for what is no request",
            )),
            // RFC 9218 §7.2: no push was promised.
            FrameType::PriorityUpdatePush => Err(NO_PUSH),
            _ if !rest.is_empty() => Err(BAD_LAYOUT),
            FrameType::GoAway => {
                // §5.2, §7.2.6: what a server names is a request stream; no ID may grow.
                let valid = self.side == Side::Server || is_request;
                if !valid || self.last.is_some_and(|last| id > last) {
                    let why = "a GOAWAY for what is no request, or a growing one";
                    return Err(Error::connection(Code::IdError, why));
                }
                self.last = Some(id);
                Ok(Some(Control::GoAway(id)))
            }
            // §7.2.7: it may not shrink.
            FrameType::MaxPushId if id >= self.max_push_id => {
                self.max_push_id = id;
                Ok(None)
            }
            FrameType::MaxPushId => Err(Error::connection(Code::IdError, "MAX_PUSH_ID shrank")),
            // §7.2.3: no push was promised, none was allowed.
            _ => Err(NO_PUSH),
        }
    }

    /// How many frames may come between two requests.
    pub const MAX_FRAMES: u32 = 256;
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Of the head of a frame.
    Between,
    /// Of a frame of that type.
    Payload(FrameType),
    /// Of no use, `left` bytes of it.
    Skip { left: u64 },
}

/// Bytes of SETTINGS, and of PRIORITY_UPDATE.
const MAX_PAYLOAD: usize = 1024;

/// RFC 9114 §7.1.
const BAD_LAYOUT: Error = Error::connection(Code::FrameError, "a frame that is not its fields");

const NO_PUSH: Error = Error::connection(Code::IdError, "a push that was never promised");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::h3::push_goaway;
    use crate::h3::varint::push_varint;

    fn frame(frame_type: u64, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame::push_header(&mut out, frame_type, payload.len() as u64);
        out.extend_from_slice(payload);
        out
    }

    /// A frame whose payload is one integer.
    fn with_id(frame_type: u64, id: u64) -> Vec<u8> {
        let mut payload = Vec::new();
        push_varint(&mut payload, id);
        frame(frame_type, &payload)
    }

    fn priority(frame_type: u64, stream: u64, value: &str) -> Vec<u8> {
        let mut payload = Vec::new();
        push_varint(&mut payload, stream);
        payload.extend_from_slice(value.as_bytes());
        frame(frame_type, &payload)
    }

    fn settings() -> Vec<u8> {
        frame(0x04, &[0x06, 0x40, 0x64])
    }

    fn read_pieces<'a>(
        side: Side,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> (Vec<Control>, Result<(), Error>) {
        let mut stream = ControlStream::new(side);
        let mut said = Vec::new();
        for piece in pieces {
            let mut input = Bytes::copy_from_slice(piece);
            loop {
                match stream.read(&mut input) {
                    Ok(Control::NeedMore) => break,
                    Ok(control) => said.push(control),
                    Err(error) => return (said, Err(error)),
                }
            }
            assert!(input.is_empty());
        }
        (said, Ok(()))
    }

    /// Reads at once and byte by byte, which must agree; without the settings that came first.
    fn read(side: Side, stream: &[u8]) -> (Vec<Control>, Result<(), Code>) {
        let (mut said, end) = read_pieces(side, std::iter::once(stream));
        assert_eq!(read_pieces(side, stream.chunks(1)), (said.clone(), end));
        assert_eq!(read_pieces(side, stream.chunks(3)), (said.clone(), end));
        if matches!(said.first(), Some(Control::Settings(_))) {
            said.remove(0);
        }
        let end = end.map_err(|error| {
            assert!(error.ends_connection());
            error.code()
        });
        (said, end)
    }

    /// Reads settings and then `frames`.
    fn after_settings(side: Side, frames: &[Vec<u8>]) -> (Vec<Control>, Result<(), Code>) {
        read(side, &[settings(), frames.concat()].concat())
    }

    #[test]
    fn settings_come_first() {
        let (said, end) = read_pieces(Side::Server, std::iter::once(&settings()[..]));
        let expected = Settings {
            max_field_section_size: Some(100),
            enable_connect_protocol: false,
        };
        assert_eq!((said, end), (vec![Control::Settings(expected)], Ok(())));
        for first in [
            frame(0x21, b"grease"),
            with_id(0x07, 0),
            with_id(0x0d, 0),
            frame(0x00, b"data"),
            frame(0x02, b""),
        ] {
            for side in [Side::Client, Side::Server] {
                let (_, end) = read(side, &first);
                assert_eq!(end, Err(Code::MissingSettings), "{first:x?}");
            }
        }
    }

    #[test]
    fn settings_come_once() {
        let (_, end) = after_settings(Side::Server, &[settings()]);
        assert_eq!(end, Err(Code::FrameUnexpected));
        // Empty ones are settings, too.
        let (_, end) = read(Side::Server, &frame(0x04, b"").repeat(2));
        assert_eq!(end, Err(Code::FrameUnexpected));
    }

    #[test]
    fn frames_of_other_streams_are_unexpected() {
        for side in [Side::Client, Side::Server] {
            // DATA, HEADERS, PUSH_PROMISE, and what was HTTP/2's.
            for frame_type in [0x00, 0x01, 0x05, 0x02, 0x06, 0x08, 0x09] {
                let (_, end) = after_settings(side, &[frame(frame_type, b"\0")]);
                assert_eq!(end, Err(Code::FrameUnexpected), "{frame_type:#x}");
            }
        }
        // What only clients send.
        for bad in [
            with_id(0x0d, 1),
            priority(0xf0700, 0, "u=1"),
            priority(0xf0701, 0, "u=1"),
        ] {
            let (_, end) = after_settings(Side::Client, &[bad]);
            assert_eq!(end, Err(Code::FrameUnexpected));
        }
    }

    #[test]
    fn goaway_may_not_grow() {
        let goaways = |ids: &[u64]| ids.iter().map(|id| with_id(0x07, *id)).collect::<Vec<_>>();
        for side in [Side::Client, Side::Server] {
            let (said, end) = after_settings(side, &goaways(&[(1 << 62) - 4, 8, 8, 0]));
            let expected = [(1 << 62) - 4, 8, 8, 0].map(Control::GoAway);
            assert_eq!((said, end), (expected.to_vec(), Ok(())));
            let (said, end) = after_settings(side, &goaways(&[8, 12]));
            assert_eq!((said.len(), end), (1, Err(Code::IdError)));
        }
        // §7.2.6: a server names a request stream, a client a push.
        for id in [1, 2, 3, 4097] {
            let (_, end) = after_settings(Side::Client, &goaways(&[id]));
            assert_eq!(end, Err(Code::IdError), "{id}");
            let (_, end) = after_settings(Side::Server, &goaways(&[id]));
            assert_eq!(end, Ok(()), "{id}");
        }
    }

    #[test]
    fn a_written_goaway_is_read() {
        for id in [0, 400, (1 << 62) - 4] {
            let mut out = Vec::new();
            push_goaway(&mut out, id);
            let (said, end) = after_settings(Side::Client, &[out]);
            assert_eq!((said, end), (vec![Control::GoAway(id)], Ok(())));
        }
    }

    #[test]
    fn max_push_id_may_not_shrink() {
        let (said, end) = after_settings(Side::Server, &[with_id(0x0d, 5), with_id(0x0d, 5)]);
        assert_eq!((said, end), (vec![], Ok(())));
        let (_, end) = after_settings(Side::Server, &[with_id(0x0d, 5), with_id(0x0d, 4)]);
        assert_eq!(end, Err(Code::IdError));
    }

    #[test]
    fn what_was_never_pushed_cannot_be_cancelled() {
        for side in [Side::Client, Side::Server] {
            let (_, end) = after_settings(side, &[with_id(0x0d, 5), with_id(0x03, 0)]);
            let expected = match side {
                Side::Client => Code::FrameUnexpected,
                Side::Server => Code::IdError,
            };
            assert_eq!(end, Err(expected));
            let (_, end) = after_settings(side, &[with_id(0x03, 0)]);
            assert_eq!(end, Err(Code::IdError));
        }
    }

    #[test]
    fn priorities_are_for_requests() {
        let (said, end) = after_settings(
            Side::Server,
            &[priority(0xf0700, 400, "u=1, i"), priority(0xf0700, 0, "")],
        );
        let wish = |stream, urgency, incremental| Control::Priority {
            stream,
            priority: Priority {
                urgency,
                incremental,
            },
        };
        assert_eq!(said, [wish(400, 1, true), wish(0, 3, false)]);
        assert_eq!(end, Ok(()));
        for bad in [
            priority(0xf0700, 1, "u=1"),
            priority(0xf0700, 2, "u=1"),
            priority(0xf0700, 3, "u=1"),
            // RFC 9218 §7.2: a push that was never promised.
            priority(0xf0701, 0, "u=1"),
        ] {
            let (_, end) = after_settings(Side::Server, &[bad]);
            assert_eq!(end, Err(Code::IdError));
        }
    }

    #[test]
    fn a_frame_is_its_fields() {
        for bad in [
            // No field, half of one, and more than one.
            frame(0x07, b""),
            frame(0x07, &[0x40]),
            frame(0x07, &[0x00, 0x00]),
            frame(0x07, &[0x00; 9]),
            frame(0x0d, &[]),
            frame(0x0d, &[0x01, 0x02]),
            frame(0x03, &[0xc0, 0x00]),
            frame(0xf0700, b""),
            frame(0xf0700, &[0x80, 0x00]),
            frame(0xf0701, b""),
        ] {
            let (_, end) = after_settings(Side::Server, std::slice::from_ref(&bad));
            assert_eq!(end, Err(Code::FrameError), "{bad:x?}");
        }
        let (_, end) = read(Side::Server, &frame(0x04, &[0x06]));
        assert_eq!(end, Err(Code::FrameError));
    }

    #[test]
    fn a_frame_is_bounded() {
        let longest = " ".repeat(1023);
        let (said, end) = after_settings(Side::Server, &[priority(0xf0700, 0, &longest)]);
        assert_eq!((said.len(), end), (1, Ok(())));
        for bad in [
            [settings(), priority(0xf0700, 0, &" ".repeat(1024))].concat(),
            frame(0x04, &[0; 1025]),
            // The length alone is enough.
            vec![0x04, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            let (_, end) = read(Side::Server, &bad);
            assert_eq!(end, Err(Code::ExcessiveLoad));
        }
    }

    #[test]
    fn a_flood_of_frames_is_bounded_unless_requests_come() {
        let most = ControlStream::MAX_FRAMES as usize;
        for one in [
            priority(0xf0700, 0, "u=1"),
            with_id(0x0d, 1),
            with_id(0x07, 4),
            frame(0x21, b""),
        ] {
            let (_, end) = after_settings(Side::Server, &vec![one.clone(); most]);
            assert_eq!(end, Ok(()));
            let (_, end) = after_settings(Side::Server, &vec![one.clone(); most + 1]);
            assert_eq!(end, Err(Code::ExcessiveLoad));

            let mut stream = ControlStream::new(Side::Server);
            let mut input = Bytes::from(settings());
            assert!(matches!(stream.read(&mut input), Ok(Control::Settings(_))));
            for _ in 0..2 * most {
                let mut input = Bytes::from(one.clone());
                assert!(stream.read(&mut input).is_ok());
                stream.note_request();
            }
        }
    }

    #[test]
    fn unknown_frames_are_passed_over_and_bounded() {
        let (said, end) = after_settings(
            Side::Server,
            &[frame(0x21, b"grease"), frame(0x40, b""), with_id(0x07, 0)],
        );
        assert_eq!((said, end), (vec![Control::GoAway(0)], Ok(())));
        let half = frame(0x21, &vec![0; 32 * 1024]);
        let judge = |frames: &[&[u8]]| {
            let settings = settings();
            let pieces = std::iter::once(&settings[..]).chain(frames.iter().copied());
            let (_, end) = read_pieces(Side::Server, pieces);
            end.map_err(|error| error.code())
        };
        assert_eq!(judge(&[&half, &half]), Ok(()));
        assert_eq!(
            judge(&[&half, &half, &frame(0x21, b"x")]),
            Err(Code::ExcessiveLoad)
        );
    }

    proptest! {
        #[test]
        fn any_split_means_the_same(
            frames in prop::collection::vec(
                (
                    prop::sample::select(vec![0, 3, 4, 7, 7, 7, 0x0d, 0x0d, 0x21, 0xf0700, 0xf0700]),
                    prop::collection::vec(0_u8..9, 0..4),
                ),
                0..6,
            ),
            begins in any::<bool>(),
        ) {
            let mut stream = if begins { settings() } else { Vec::new() };
            for (frame_type, payload) in frames {
                stream.extend(frame(frame_type, &payload));
            }
            for side in [Side::Client, Side::Server] {
                let (said, end) = read(side, &stream);
                prop_assert!(said.is_empty() || end != Err(Code::MissingSettings));
            }
        }
    }
}
