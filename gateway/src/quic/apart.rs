//! Datagrams that the kernel hands over together (GRO), taken apart.
//!
//! One call brings up to 64 datagrams of a sender's in one piece of memory, and quinn keeps all of it
//! for as long as the payload of any of them waits to be read. Of a client that fills the others with
//! nothing we would hold 64 times what QUIC's windows allow. So each gets memory of its own.

use std::io::IoSliceMut;
use std::task::{Poll, ready};

use quinn::udp::RecvMeta;

/// What one call has brought and nobody took yet.
#[derive(Debug)]
pub(super) struct Apart {
    memory: Box<[u8]>,
    pieces: [RecvMeta; PIECES],
    /// How many pieces there are.
    held: usize,
    /// Which is being taken apart.
    piece: usize,
    /// How much of it was taken.
    taken: usize,
}

impl Apart {
    /// The bytes that it takes.
    pub(super) const MEMORY: usize = PIECES * PIECE;

    pub(super) fn new() -> Self {
        Self {
            memory: vec![0; Self::MEMORY].into(),
            pieces: [RecvMeta::default(); PIECES],
            held: 0,
            piece: 0,
            taken: 0,
        }
    }

    /// Gives each datagram a buffer of its own, and tells how many got one. `receive` is called when
    /// there is none left.
    pub(super) fn receive<E>(
        &mut self,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
        receive: impl FnOnce(&mut [IoSliceMut<'_>], &mut [RecvMeta]) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<usize, E>> {
        if self.piece >= self.held {
            let mut parts = self.memory.chunks_mut(PIECE);
            let mut parts: [_; PIECES] =
                std::array::from_fn(|_| IoSliceMut::new(parts.next().unwrap_or_default()));
            self.held = 0;
            let held = ready!(receive(&mut parts, &mut self.pieces));
            self.held = match held {
                Ok(held) => held,
                Err(error) => return Poll::Ready(Err(error)),
            };
            (self.piece, self.taken) = (0, 0);
        }
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(meta) {
            let Some((datagram, found)) = self.next() else {
                break;
            };
            // The kernel, too, cuts one that is larger than allowed: it will not be authentic.
            let length = datagram.len().min(buffer.len());
            if let (Some(to), Some(from)) = (buffer.get_mut(..length), datagram.get(..length)) {
                to.copy_from_slice(from);
            }
            *meta = RecvMeta {
                len: length,
                stride: length,
                ..found
            };
            count += 1;
        }
        Poll::Ready(Ok(count))
    }

    /// The next datagram. An empty one counts as well: whoever asks bounds its work by their number.
    fn next(&mut self) -> Option<(&[u8], RecvMeta)> {
        if self.piece >= self.held {
            return None;
        }
        let found = *self.pieces.get(self.piece)?;
        let begin = self.taken;
        // The last may be shorter.
        let end = (begin + found.stride.max(1)).min(found.len);
        let at = self.piece * PIECE;
        if end < found.len {
            self.taken = end;
        } else {
            (self.piece, self.taken) = (self.piece + 1, 0);
        }
        Some((self.memory.get(at + begin..at + end)?, found))
    }
}

/// How many pieces one call may bring.
const PIECES: usize = 8;

/// As much as UDP can carry, and so what the kernel puts together at most.
const PIECE: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// What a call brings: pieces of so many bytes, each of datagrams of so many.
    fn brings(apart: &mut Apart, pieces: &[(&[u8], usize)], room: usize) -> Vec<Vec<u8>> {
        let mut memory = vec![[0; 8]; room];
        let mut buffers: Vec<_> = memory.iter_mut().map(|one| IoSliceMut::new(one)).collect();
        let mut meta = vec![RecvMeta::default(); room];
        let received = apart.receive(&mut buffers, &mut meta, |parts, metas| {
            for ((part, meta), (bytes, stride)) in parts.iter_mut().zip(metas).zip(pieces) {
                part[..bytes.len()].copy_from_slice(bytes);
                (meta.len, meta.stride) = (bytes.len(), *stride);
                meta.addr.set_port(1 + *stride as u16);
            }
            Poll::Ready(Ok::<_, Infallible>(pieces.len()))
        });
        let Poll::Ready(Ok(count)) = received else {
            panic!("{received:?}");
        };
        let each = meta.iter().zip(&memory).take(count);
        each.map(|(meta, bytes)| {
            assert_eq!(meta.stride, meta.len);
            assert_ne!(meta.addr.port(), 0);
            bytes[..meta.len].to_vec()
        })
        .collect()
    }

    #[test]
    fn each_datagram_has_a_buffer_of_its_own() {
        let mut apart = Apart::new();
        let pieces: [(&[u8], usize); 3] = [(b"abcdefgh", 3), (b"ij", 2), (b"klm", 3)];
        let all = [&b"abc"[..], b"def", b"gh", b"ij", b"klm"];
        assert_eq!(brings(&mut apart, &pieces, 32), all);
        // In any number of turns, and none is asked for more before all were taken.
        for room in 1..6 {
            let mut taken = Vec::new();
            while taken.len() < all.len() {
                let came = match taken.is_empty() {
                    true => brings(&mut apart, &pieces, room),
                    false => brings(&mut apart, &[(b"not yet", 1)], room),
                };
                taken.extend(came);
            }
            assert_eq!(taken, all, "{room}");
        }
    }

    #[test]
    fn what_is_odd_ends_well() {
        let mut apart = Apart::new();
        // An empty one is one, too; one that is larger than its buffer is cut.
        let pieces: [(&[u8], usize); 4] = [(b"", 0), (b"0123456789", 10), (b"", 5), (b"x", 0)];
        let all = [&b""[..], b"01234567", b"", b"x"];
        assert_eq!(brings(&mut apart, &pieces, 5), all);
        let mut none = apart.receive(&mut [], &mut [], |_, _| Poll::Ready(Err("gone")));
        assert_eq!(none, Poll::Ready(Err("gone")));
        none = apart.receive(&mut [], &mut [], |_, _| Poll::Pending);
        assert_eq!(none, Poll::Pending);
    }
}
