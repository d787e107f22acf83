//! The client's unidirectional streams (RFC 9114 §6.2), and what it says on them.

use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use quinn::{ReadError, RecvStream};
use wire::h3::{
    Code, Control, DecoderStream, EncoderStream, Error, Priority, StreamKind, StreamType,
};

use super::Shared;
use crate::quic::wire_code;

/// In which order a client wants its answers, as far as it said so before they began (RFC 9218 §7.1).
#[derive(Debug, Default)]
pub(super) struct Wishes(HashMap<u64, Priority>);

impl Wishes {
    /// Takes what was said of a request's answer.
    pub(super) fn take(&mut self, stream: u64) -> Option<Priority> {
        self.0.remove(&stream)
    }

    /// Notes a wish. What is said of more streams than anybody has open is passed over: a hint may be.
    fn note(&mut self, stream: u64, priority: Priority) {
        if self.0.len() < MOST_WISHES || self.0.contains_key(&stream) {
            self.0.insert(stream, priority);
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
                    return;
                }
                Err(error) => return shared.fault(&error),
            },
            // RFC 9114 §6.2.1, RFC 9204 §4.2: none of those that are known may end.
            Ok(None) | Err(ReadError::Reset(_)) => {
                if reader.is_critical() {
                    shared.end(Code::ClosedCriticalStream, "a critical stream was closed");
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
                shared.wishes.borrow_mut().note(stream, priority);
            }
            // A client that goes away takes no pushes, and gets none. Of its settings none matters to
            // answers that are never pushed, and whose heads are no larger than HTTP/1.1's.
            Control::GoAway(_) | Control::Settings(_) => {}
        }
    }
}

/// For so many streams a wish is kept.
const MOST_WISHES: usize = 256;
