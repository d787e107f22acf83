//! The client's unidirectional streams (RFC 9114 §6.2), and what it says on them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use quinn::{ReadError, RecvStream};
use wire::h3::{
    Code, Control, DecoderStream, EncoderStream, Error, Priority, StreamKind, StreamType,
};

use super::Shared;
use crate::quic::wire_code;

/// What a client says of the answers that it wants.
#[derive(Debug)]
pub(super) struct Said {
    /// The largest head that it takes, as RFC 9114 §4.2.2 counts it.
    max_section: Cell<u64>,
    /// In which order it wants answers (RFC 9218 §7.1), until those hear of it.
    wishes: RefCell<HashMap<u64, Priority>>,
    /// How many wishes there were.
    wished: Cell<u64>,
}

impl Said {
    /// The largest head that the client takes.
    pub(super) fn max_section(&self) -> u64 {
        self.max_section.get()
    }

    /// How many wishes there were: only if it has changed there may be a new one.
    pub(super) fn wished(&self) -> u64 {
        self.wished.get()
    }

    /// Takes what was said of a request's answer.
    pub(super) fn take(&self, stream: u64) -> Option<Priority> {
        self.wishes.borrow_mut().remove(&stream)
    }

    /// Notes a wish. Those for answers that are over stay until there is no room, and so may those that
    /// were not heard of yet: where too much is said, a hint is lost.
    fn wish(&self, stream: u64, priority: Priority, opened: u64) {
        let mut wishes = self.wishes.borrow_mut();
        if wishes.len() >= MOST_WISHES && !wishes.contains_key(&stream) {
            wishes.retain(|stream, _| *stream >= opened);
        }
        if wishes.len() < MOST_WISHES || wishes.contains_key(&stream) {
            wishes.insert(stream, priority);
            self.wished.set(self.wished.get() + 1);
        }
    }
}

impl Default for Said {
    fn default() -> Self {
        Self {
            max_section: Cell::new(u64::MAX),
            wishes: RefCell::default(),
            wished: Cell::new(0),
        }
    }
}

/// Reads a stream to its end, which may be the connection's.
pub(super) async fn read(shared: Rc<Shared>, mut stream: RecvStream) {
    let mut reader = Reader::Type(StreamType::default());
    loop {
        match stream.read_chunk(usize::MAX, true).await {
            Ok(Some(chunk)) => match reader.read(&shared, chunk.bytes) {
                Ok(true) => {}
                Ok(false) => {
                    // An unknown type is no error; nothing of it is wanted (RFC 9114 §6.2).
                    if let Err(error) = stream.stop(wire_code(Code::StreamCreationError)) {
                        tracing::debug!(%error, "a stream has ended by itself");
                    }
                    return shared.note_useless_stream();
                }
                Err(error) => return shared.fault(&error),
            },
            // RFC 9114 §6.2.1, RFC 9204 §4.2: none of those that are known may end.
            Ok(None) | Err(ReadError::Reset(_)) => {
                match reader.is_critical() {
                    true => shared.end(Code::ClosedCriticalStream, "a critical stream was closed"),
                    // It may end before it has said what it is (RFC 9114 §6.2).
                    false => shared.note_useless_stream(),
                }
                return;
            }
            // The connection is over.
            Err(_) => return,
        }
    }
}

/// Who reads a stream.
enum Reader {
    Control,
    Decoder(DecoderStream),
    Encoder(EncoderStream),
    /// Nobody yet.
    Type(StreamType),
}

impl Reader {
    /// Reads what came; false if nothing of the stream is wanted.
    fn read(&mut self, shared: &Shared, mut bytes: Bytes) -> Result<bool, Error> {
        if let Self::Type(stream_type) = self {
            let Some(number) = stream_type.read(&mut bytes) else {
                return Ok(true);
            };
            *self = match shared.peer_streams.borrow_mut().admit(number)? {
                StreamKind::Control => Self::Control,
                StreamKind::QpackDecoder => Self::Decoder(DecoderStream::default()),
                StreamKind::QpackEncoder => Self::Encoder(EncoderStream::default()),
                StreamKind::Unknown => return Ok(false),
            };
        }
        match self {
            Self::Control => control(shared, &mut bytes)?,
            Self::Decoder(stream) => stream.read(&bytes)?,
            Self::Encoder(stream) => stream.read(&bytes)?,
            Self::Type(_) => {}
        }
        Ok(true)
    }

    fn is_critical(&self) -> bool {
        !matches!(self, Self::Type(_))
    }
}

fn control(shared: &Shared, bytes: &mut Bytes) -> Result<(), Error> {
    let mut control = shared.control.borrow_mut();
    loop {
        match control.read(bytes)? {
            Control::NeedMore => return Ok(()),
            Control::Priority { stream, priority } => {
                let opened = shared.opened.get();
                if stream >= opened + 4 * u64::from(shared.visitor.front.limits.http3_streams) {
                    // RFC 9218 §7.2: more streams than these were never allowed.
                    return Err(Error::Connection {
                        code: Code::IdError,
                        why: "a priority for a stream beyond the limit",
                    });
                }
                shared.said.wish(stream, priority, opened);
            }
            Control::Settings(settings) => {
                let max_section = settings.max_field_section_size.unwrap_or(u64::MAX);
                shared.said.max_section.set(max_section);
            }
            // A client that goes away takes no pushes, and gets none.
            Control::GoAway(_) => {}
        }
    }
}

/// For so many streams a wish is kept.
const MOST_WISHES: usize = 256;
