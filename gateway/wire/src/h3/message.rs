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
