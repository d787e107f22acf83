//! The chunked coding (RFC 9112 §7.1): data out as slices, everything else dropped.

use bytes::{Bytes, BytesMut};

use super::ChunkError;

/// Decodes a chunked body. Extensions and trailers are checked, bounded and dropped (trailers
/// must never become headers: promise P1).
#[derive(Clone, Debug, Default)]
pub struct ChunkedDecoder {
    _state: (),
}

/// One step of a [`ChunkedDecoder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunked {
    /// Payload: a slice of the receive buffer, not a copy. Never empty.
    Data(Bytes),
    /// The body is complete; what is left in the buffer belongs to the next message.
    End,
    /// The buffer is used up.
    NeedMore,
}

impl ChunkedDecoder {
    /// Takes what it can from the front of `buffer`.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Chunked, ChunkError> {
        let _ = buffer;
        todo!()
    }
}
