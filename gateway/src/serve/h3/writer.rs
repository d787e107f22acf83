//! A request's stream, as far as it is written: the answer.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use quinn::SendStream;
use wire::h3::{Code, Priority, push_data_header};

use super::streams::Said;
use super::turns::{Turn, Turns};
use crate::quic::{COPIED, wire_code};
use crate::serve::leg::Sink;

/// Our side of a request stream. If it is dropped before its end, it is reset: quinn would end it, as
/// if what was written were all.
#[derive(Debug)]
pub(super) struct Writer {
    stream: SendStream,
    said: Rc<Said>,
    /// How many wishes had been there when it last looked for its own.
    wished: u64,
    turn: Turn,
    /// Neither more nor less can be said: it has ended, or was reset.
    over: bool,
    /// It has ended.
    finished: bool,
}

impl Writer {
    /// For an answer to a client that says what it wants of answers, beside others that wait for room.
    pub(super) fn new(stream: SendStream, said: &Rc<Said>, turns: &Rc<Turns>) -> Self {
        Self {
            turn: Turn::new(turns, stream.id().into()),
            stream,
            said: Rc::clone(said),
            wished: 0,
            over: false,
            finished: false,
        }
    }

    /// The largest head that the client takes.
    pub(super) fn max_section(&self) -> u64 {
        self.said.max_section()
    }

    /// Sets the answer's place among others as its request wants it (RFC 9218 §5). What the client says
    /// of it on its control stream goes before, whenever it comes (§7.1).
    pub(super) fn prioritise(&mut self, priority: Priority) {
        self.set_priority(priority);
        self.listen();
    }

    /// Hears what the client said of this answer since it last looked.
    fn listen(&mut self) {
        let wished = self.said.wished();
        if std::mem::replace(&mut self.wished, wished) != wished
            && let Some(priority) = self.said.take(self.stream.id().into())
        {
            self.set_priority(priority);
        }
    }

    /// RFC 9218 §4.1: quinn sends the highest first, and lets those of one priority share.
    fn set_priority(&self, priority: Priority) {
        // It fails only once the stream is over.
        let _ = self.stream.set_priority(-i32::from(priority.urgency));
    }

    /// Ends when the client takes nothing any more, or is gone.
    pub(super) fn gone(&self) -> impl Future<Output = ()> + use<> {
        let stopped = self.stream.stopped();
        async move {
            // Whatever it says, there is nobody for whom an answer would be of use.
            let _ = stopped.await;
        }
    }

    /// Writes what fits of `queue`, and removes it there; how many bytes that were.
    pub(super) async fn write_some(&mut self, queue: &mut Queue) -> io::Result<usize> {
        self.listen();
        queue.seal();
        let pieces = queue.pieces.make_contiguous();
        let written = poll_fn(|cx| {
            if self.turn.steps_back() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // It keeps nothing between polls, so it can be made anew each time.
            let write = self.stream.write_chunks(pieces);
            let written = pin!(write).poll(cx);
            match written.is_ready() {
                true => self.turn.wrote(),
                false => self.turn.wait(),
            }
            written
        });
        let written = written.await?;
        queue.pieces.drain(..written.chunks);
        Ok(written.bytes)
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.over = true;
        self.stream.finish()?;
        self.finished = true;
        Ok(())
    }

    /// Whether the stream has ended in order.
    pub(super) fn has_finished(&self) -> bool {
        self.finished
    }

    /// Whether nothing of what was written is on its way: the client has all, or wants no more of it.
    pub(super) fn has_arrived(&self) -> bool {
        let stopped = pin!(self.stream.stopped());
        // Only what is known already is of interest.
        stopped
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    /// Breaks the stream off, unless it is over; whether it was not.
    pub(super) fn reset(&mut self, code: Code) -> bool {
        let open = !std::mem::replace(&mut self.over, true);
        if open {
            // It fails if the connection is gone, and the stream with it.
            let _ = self.stream.reset(wire_code(code));
        }
        open
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.reset(Code::InternalError);
    }
}

/// What is to be written. QUIC keeps each piece until it is acknowledged, and with it the whole buffer
/// that it is a slice of: small ones are copied, so that a trickle holds no more than it brings.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: VecDeque<Bytes>,
    /// What comes behind them, and is no slice of what was received: heads, frames' headers, and what
    /// is small.
    made: BytesMut,
}

impl Queue {
    /// A queue that begins with a head.
    pub(super) fn new(head: BytesMut) -> Self {
        Self {
            pieces: VecDeque::new(),
            made: head,
        }
    }

    /// Appends payload.
    pub(super) fn push(&mut self, data: Bytes) {
        if data.len() < COPIED {
            self.made.extend_from_slice(&data);
        } else {
            self.seal();
            self.pieces.push_back(data);
        }
    }

    /// Appends payload as a frame of its own.
    pub(super) fn push_frame(&mut self, data: Bytes) {
        push_data_header(&mut self.made, data.len() as u64);
        self.push(data);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.made.is_empty()
    }

    fn is_full(&self) -> bool {
        self.pieces.len() >= BATCH || self.made.len() >= MOST_MADE
    }

    fn seal(&mut self) {
        if !self.made.is_empty() {
            self.pieces.push_back(self.made.split().freeze());
        }
    }
}

/// An answer that is written: its head, then its body as DATA frames.
pub(in crate::serve) struct Sent<'a> {
    pub(super) writer: &'a mut Writer,
    pub(super) queue: Queue,
    /// Whether each piece is a frame of its own; else one frame was begun for the whole body.
    pub(super) framed: bool,
    pub(super) ended: bool,
    /// Bytes that QUIC took, with framing.
    pub(super) taken: &'a Cell<u64>,
}

impl Sink for Sent<'_> {
    fn push(&mut self, data: Bytes) {
        if self.framed {
            self.queue.push_frame(data);
        } else {
            self.queue.push(data);
        }
    }

    fn end(&mut self) {
        self.ended = true;
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    async fn write_some(&mut self) -> io::Result<()> {
        let bytes = self.writer.write_some(&mut self.queue).await?;
        self.taken.set(self.taken.get() + bytes as u64);
        if self.ended && self.queue.is_empty() {
            // At once, so that the end travels with the last bytes.
            self.writer.finish()?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.ended && !self.writer.over {
            self.writer.finish()?;
        }
        Ok(())
    }
}

/// The most pieces of one write.
const BATCH: usize = 32;

/// … and the most bytes of it that are copies.
const MOST_MADE: usize = 2 * COPIED;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_copied_and_large_ones_are_not() {
        let received = Bytes::from(vec![b'x'; 4 * COPIED]);
        let (small, large) = (received.slice(..COPIED - 1), received.slice(..COPIED));
        let mut queue = Queue::new(BytesMut::from(&b"head"[..]));
        queue.push(small.clone());
        queue.push(small.clone());
        assert!(queue.pieces.is_empty() && queue.is_full());
        queue.push(large.clone());
        queue.push(large.clone());
        queue.push_frame(small.clone());
        queue.push_frame(large);
        queue.seal();
        let pieces = Vec::from(queue.pieces);
        let lengths: Vec<_> = pieces.iter().map(Bytes::len).collect();
        let two = 2 * small.len();
        // A type, and a length of two bytes.
        let headers = 3 + 3;
        assert_eq!(
            lengths,
            [4 + two, COPIED, COPIED, headers + small.len(), COPIED]
        );
        let of_received = |piece: &&Bytes| piece.as_ptr() == received.as_ptr();
        assert_eq!(pieces.iter().filter(of_received).count(), 3);
    }
}
