//! One worker's receive buffers. Connections without traffic hold none: a buffer is lent for each
//! attempt to read, and stays only if something came.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use bytes::BytesMut;

use crate::tls::Transport;

/// Buffers that wait for the next read.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: RefCell<Vec<BytesMut>>,
    large: RefCell<Vec<BytesMut>>,
}

/// The size of a buffer, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// 4 KiB: most request heads.
    Small,
    /// 64 KiB: four full TLS records.
    Large,
}

/// What can be read into lent memory.
pub(crate) trait Reads {
    /// Whether something was received and not yet handed out, with memory of its own.
    fn has_received(&self) -> bool;

    /// Reads what is there behind what `buffer` holds; 0 at the end of the stream. It needs spare
    /// capacity, unless [`Reads::has_received`].
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>>;
}

impl Reads for Transport {
    fn has_received(&self) -> bool {
        Self::has_received(self)
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        Self::poll_read(self, cx, buffer)
    }
}

impl Buffers {
    /// Reads what is there behind what `buffer` holds, in at least `room` bytes; 0 at the end of
    /// the stream. An empty buffer is one of `size`, which is not less than `room`, and while it
    /// waits its memory is with us.
    pub(crate) async fn read<R: Reads>(
        &self,
        transport: &R,
        buffer: &mut BytesMut,
        room: usize,
        size: Size,
    ) -> io::Result<usize> {
        poll_fn(|cx| {
            // What was received already has its memory.
            if !transport.has_received() {
                self.make_room(buffer, room, size);
            }
            let polled = transport.poll_read(cx, buffer);
            if polled.is_pending() {
                self.give_back(buffer);
            }
            polled
        })
        .await
    }

    /// An empty buffer of [`Size::Small`] to write a head into.
    pub(crate) fn lend(&self) -> BytesMut {
        let mut buffer = BytesMut::new();
        self.make_room(&mut buffer, Size::Small.bytes(), Size::Small);
        buffer
    }

    /// Takes the memory of a buffer back, if it holds nothing and nothing that was split off is in
    /// use.
    pub(crate) fn give_back(&self, buffer: &mut BytesMut) {
        if !buffer.is_empty() {
            return;
        }
        let mut buffer = std::mem::take(buffer);
        // Reclaiming is what tells how much memory lies beneath; it never allocates.
        let (kept, most) = if buffer.try_reclaim(Size::Large.bytes()) {
            (&self.large, LARGE_KEPT)
        } else if buffer.try_reclaim(Size::Small.bytes()) {
            (&self.small, SMALL_KEPT)
        } else {
            return;
        };
        let mut kept = kept.borrow_mut();
        // One that grew for the sake of a huge head is not worth keeping.
        if kept.len() < most && buffer.capacity() <= 2 * Size::Large.bytes() {
            kept.push(buffer);
        }
    }

    fn make_room(&self, buffer: &mut BytesMut, room: usize, size: Size) {
        debug_assert!(room <= size.bytes());
        if buffer.capacity() - buffer.len() >= room {
            return;
        }
        if !buffer.is_empty() {
            buffer.reserve(room);
        } else if !buffer.try_reclaim(room) {
            *buffer = self.take(size);
        }
    }

    fn take(&self, size: Size) -> BytesMut {
        let kept = match size {
            Size::Small => &self.small,
            Size::Large => &self.large,
        };
        let free = kept.borrow_mut().pop();
        free.unwrap_or_else(|| BytesMut::with_capacity(size.bytes()))
    }
}

impl Size {
    /// In bytes.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Small => 4 * 1024,
            Self::Large => 64 * 1024,
        }
    }
}

/// The most bytes that a worker keeps.
pub(crate) const MOST_KEPT: usize =
    SMALL_KEPT * Size::Large.bytes() + LARGE_KEPT * 2 * Size::Large.bytes();

/// As many as hold heads at once, roughly: 256 KiB.
const SMALL_KEPT: usize = 64;

/// As many as hold payload at once, roughly: 1 MiB.
const LARGE_KEPT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(buffers: &Buffers) -> (usize, usize) {
        (buffers.small.borrow().len(), buffers.large.borrow().len())
    }

    #[test]
    fn memory_goes_round() {
        let buffers = Buffers::default();
        for size in [Size::Small, Size::Large] {
            let mut buffer = BytesMut::new();
            buffers.make_room(&mut buffer, 1024, size);
            let memory = buffer.as_ptr();
            buffer.extend_from_slice(b"head");
            // What is not empty stays.
            buffers.give_back(&mut buffer);
            assert_eq!(&buffer[..], b"head");
            drop(buffer.split());
            buffers.give_back(&mut buffer);
            assert_eq!(buffer.capacity(), 0);
            buffers.make_room(&mut buffer, size.bytes(), size);
            assert_eq!(buffer.as_ptr(), memory);
            buffers.give_back(&mut buffer);
        }
        assert_eq!(kept(&buffers), (1, 1));
    }

    #[test]
    fn memory_in_use_is_not_taken_back() {
        let buffers = Buffers::default();
        let mut buffer = BytesMut::new();
        buffers.make_room(&mut buffer, 1, Size::Small);
        buffer.extend_from_slice(b"head");
        let head = buffer.split().freeze();
        buffers.give_back(&mut buffer);
        assert_eq!(kept(&buffers), (0, 0));
        assert_eq!(&head[..], b"head");
    }

    #[test]
    fn a_buffer_that_holds_something_grows() {
        let buffers = Buffers::default();
        let mut buffer = BytesMut::from(&b"head"[..]);
        buffers.make_room(&mut buffer, 1024, Size::Large);
        assert!((1028..4096).contains(&buffer.capacity()));
        assert_eq!(&buffer[..], b"head");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        for _ in 0..SMALL_KEPT + 1 {
            buffers.give_back(&mut BytesMut::with_capacity(Size::Small.bytes()));
            buffers.give_back(&mut BytesMut::with_capacity(Size::Large.bytes()));
        }
        buffers.give_back(&mut BytesMut::with_capacity(1024 * 1024));
        buffers.give_back(&mut BytesMut::new());
        assert_eq!(kept(&buffers), (SMALL_KEPT, LARGE_KEPT));
    }
}
