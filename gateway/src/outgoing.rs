//! Bytes on their way out: slices of the buffers that they were received in, never joined.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use wire::h1::{CRLF, LAST_CHUNK, chunk_size_line};

/// A queue of pieces to write, in order.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pieces: VecDeque<Piece>,
    len: usize,
}

impl Outgoing {
    /// Appends payload or a head as it is.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.push_piece(Piece::Bytes(bytes));
        }
    }

    /// Appends payload as one chunk (RFC 9112 §7.1).
    pub(crate) fn push_chunk(&mut self, bytes: Bytes) {
        let (line, used) = chunk_size_line(bytes.len());
        self.push_piece(Piece::SizeLine {
            line,
            used,
            start: 0,
        });
        self.push_piece(Piece::Bytes(bytes));
        self.push_piece(Piece::Static(CRLF));
    }

    /// Appends the last chunk.
    pub(crate) fn push_last_chunk(&mut self) {
        self.push_piece(Piece::Static(LAST_CHUNK));
    }

    /// Takes the first piece out; a copy of it, where it is not payload.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.len -= piece.as_slice().len();
        Some(match piece {
            Piece::Bytes(bytes) => bytes,
            piece @ (Piece::SizeLine { .. } | Piece::Static(_)) => {
                Bytes::copy_from_slice(piece.as_slice())
            }
        })
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether enough is queued that it should be written before more is decoded.
    pub(crate) fn is_full(&self) -> bool {
        self.pieces.len() + 3 > Self::BATCH
    }

    fn push_piece(&mut self, piece: Piece) {
        self.len += piece.as_slice().len();
        self.pieces.push_back(piece);
    }

    /// The most slices of one write.
    pub(crate) const BATCH: usize = 32;
}

impl Buf for Outgoing {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], Piece::as_slice)
    }

    fn advance(&mut self, mut count: usize) {
        debug_assert!(count <= self.len);
        self.len -= count;
        while let Some(piece) = self.pieces.front_mut() {
            let length = piece.as_slice().len();
            if count < length {
                piece.advance(count);
                return;
            }
            count -= length;
            self.pieces.pop_front();
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pairs = slices.iter_mut().zip(&self.pieces);
        pairs
            .map(|(slice, piece)| *slice = IoSlice::new(piece.as_slice()))
            .count()
    }
}

/// One slice. Chunk framing lives in the queue itself, so that a chunk costs no allocation.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    SizeLine {
        line: [u8; 18],
        used: usize,
        start: usize,
    },
    Static(&'static [u8]),
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::SizeLine { line, used, start } => line.get(*start..*used).unwrap_or_default(),
            Self::Static(bytes) => bytes,
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Bytes(bytes) => bytes.advance(count),
            Self::SizeLine { start, .. } => *start += count,
            Self::Static(bytes) => *bytes = bytes.get(count..).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_out_framed_whatever_the_write_sizes() {
        for step in 1..40 {
            let mut out = Outgoing::default();
            out.push(Bytes::from_static(b"head"));
            out.push(Bytes::new());
            out.push_chunk(Bytes::from_static(b"0123456789abcdef"));
            out.push_last_chunk();
            let mut written = Vec::new();
            while !out.is_empty() {
                let mut slices = [IoSlice::new(&[]); Outgoing::BATCH];
                let used = out.chunks_vectored(&mut slices);
                let all: Vec<u8> = slices[..used]
                    .iter()
                    .flat_map(|slice| slice.to_vec())
                    .collect();
                assert_eq!(all.len(), out.remaining());
                let count = step.min(all.len());
                written.extend_from_slice(&all[..count]);
                out.advance(count);
            }
            assert_eq!(written, b"head10\r\n0123456789abcdef\r\n0\r\n\r\n");
        }
    }

    #[test]
    fn pieces_come_out_one_by_one() {
        let mut out = Outgoing::default();
        out.push(Bytes::from_static(b"head"));
        out.push_chunk(Bytes::from_static(b"body"));
        out.advance(2);
        let pieces: Vec<_> = std::iter::from_fn(|| out.pop()).collect();
        assert_eq!(pieces, ["ad", "4\r\n", "body", "\r\n"]);
        assert!(out.is_empty() && out.pop().is_none());
    }
}
