//! Unidirectional streams (RFC 9114 §6.2).

use bytes::Bytes;

use super::varint::VarInt;
use super::{Code, Error, Side};

/// Reads the type at the front of a unidirectional stream.
///
/// A stream may end or be reset before its type has come, which is no error (§6.2).
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamType(VarInt);

impl StreamType {
    /// Takes the type from the front of `input`; `None` if more has to come, all of `input` is
    /// then used up.
    pub fn read(&mut self, input: &mut Bytes) -> Option<u64> {
        self.0.read(input)
    }
}

/// What a unidirectional stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// For [`ControlStream`](super::ControlStream).
    Control,
    /// The peer's decoder speaks: for [`DecoderStream`](super::DecoderStream).
    QpackDecoder,
    /// The peer's encoder speaks: for [`EncoderStream`](super::EncoderStream).
    QpackEncoder,
    /// Unknown: reading it is to be aborted, best with [`Code::StreamCreationError`] (§6.2), and
    /// is no error.
    Unknown,
}

/// The peer's unidirectional streams, of which there is one of each kind. All that are known are
/// critical: their end is a connection error of [`Code::ClosedCriticalStream`]
/// (§6.2.1, RFC 9204 §4.2), which the caller sees.
#[derive(Debug)]
pub struct PeerStreams {
    side: Side,
    control: bool,
    qpack_decoder: bool,
    qpack_encoder: bool,
}

impl PeerStreams {
    /// No stream yet; `side` is the reader's.
    pub fn new(side: Side) -> Self {
        Self {
            side,
            control: false,
            qpack_decoder: false,
            qpack_encoder: false,
        }
    }

    /// Admits a stream of type `stream_type`.
    ///
    /// # Errors
    ///
    /// A connection error: a second stream of a kind, or a push stream.
    pub fn admit(&mut self, stream_type: u64) -> Result<StreamKind, Error> {
        let (kind, seen) = match (stream_type, self.side) {
            (CONTROL, _) => (StreamKind::Control, &mut self.control),
            (QPACK_ENCODER, _) => (StreamKind::QpackEncoder, &mut self.qpack_encoder),
            (QPACK_DECODER, _) => (StreamKind::QpackDecoder, &mut self.qpack_decoder),
            // §6.2.2: only servers push.
            (PUSH, Side::Server) => return Err(refuse("a client pushes")),
            // §4.6: no push ID was ever allowed.
            (PUSH, Side::Client) => {
                return Err(Error::connection(Code::IdError, "a push that none allowed"));
            }
            _ => return Ok(StreamKind::Unknown),
        };
        // §6.2.1, RFC 9204 §4.2.
        match std::mem::replace(seen, true) {
            true => Err(refuse("a second stream of a kind")),
            false => Ok(kind),
        }
    }
}

fn refuse(why: &'static str) -> Error {
    Error::connection(Code::StreamCreationError, why)
}

/// RFC 9114 §6.2.1.
pub(super) const CONTROL: u64 = 0x00;

/// RFC 9114 §6.2.2.
const PUSH: u64 = 0x01;

/// RFC 9204 §4.2.
const QPACK_ENCODER: u64 = 0x02;

/// RFC 9204 §4.2.
const QPACK_DECODER: u64 = 0x03;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_comes_once() {
        for (stream_type, kind) in [
            (0, StreamKind::Control),
            (2, StreamKind::QpackEncoder),
            (3, StreamKind::QpackDecoder),
        ] {
            for side in [Side::Client, Side::Server] {
                let mut streams = PeerStreams::new(side);
                for other in [0, 2, 3].into_iter().filter(|other| *other != stream_type) {
                    assert!(streams.admit(other).is_ok());
                }
                assert_eq!(streams.admit(stream_type), Ok(kind));
                let error = streams.admit(stream_type).unwrap_err();
                assert_eq!(error.code(), Code::StreamCreationError);
                assert!(error.ends_connection());
            }
        }
    }

    #[test]
    fn nobody_pushes() {
        for (side, code) in [
            (Side::Server, Code::StreamCreationError),
            (Side::Client, Code::IdError),
        ] {
            let error = PeerStreams::new(side).admit(1).unwrap_err();
            assert_eq!((error.code(), error.ends_connection()), (code, true));
        }
    }

    #[test]
    fn unknown_types_are_no_error_and_may_repeat() {
        let mut streams = PeerStreams::new(Side::Server);
        for _ in 0..2 {
            for stream_type in [4, 0x21, 0x54, 0x1f * 1000 + 0x21, (1 << 62) - 1] {
                assert_eq!(streams.admit(stream_type), Ok(StreamKind::Unknown));
            }
        }
        assert_eq!(streams.admit(0), Ok(StreamKind::Control));
    }

    #[test]
    fn a_type_may_come_in_pieces() {
        let mut stream_type = StreamType::default();
        assert_eq!(stream_type.read(&mut Bytes::from_static(&[0x40])), None);
        assert_eq!(stream_type.read(&mut Bytes::new()), None);
        let mut rest = Bytes::from_static(&[0x54, 0x00]);
        assert_eq!(stream_type.read(&mut rest), Some(0x54));
        assert_eq!(rest.len(), 1);
    }
}
