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
        self.idle.note(0, Self::MAX_FRAMES)?;
        match (frame_type, self.side) {
            (FrameType::CancelPush | FrameType::GoAway, _)
            | (FrameType::MaxPushId, Side::Server) => match len {
                1..=8 => self.gather(frame_type, len),
                _ => Err(BAD_LAYOUT),
            },
            (FrameType::PriorityUpdate | FrameType::PriorityUpdatePush, Side::Server) => {
                self.gather(frame_type, len)
            }
            (FrameType::Unknown, _) => {
                self.idle.note(len, Self::MAX_FRAMES)?;
                Ok(State::Skip { left: len })
            }
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
