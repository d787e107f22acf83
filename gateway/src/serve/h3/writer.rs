//! A request's stream, as far as it is written: the answer.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;

use bytes::{Bytes, BytesMut};
use quinn::SendStream;
use wire::h3::{Code, Priority, push_data_header};

use crate::quic::wire_code;
use crate::serve::leg::Sink;

/// Our side of a request stream. If it is dropped before its end, it is reset: quinn would end it, as
/// if what was written were all.
#[derive(Debug)]
pub(super) struct Writer {
    stream: SendStream,
    /// Neither more nor less can be said: it has ended, or was reset.
    over: bool,
}

impl Writer {
    pub(super) fn new(stream: SendStream) -> Self {
        Self {
            stream,
            over: false,
        }
    }

    /// The stream's number.
    pub(super) fn id(&self) -> u64 {
        self.stream.id().into()
    }

    /// Sets the answer's place among others (RFC 9218 §4.1): quinn sends the highest first, and lets
    /// those of one priority share.
    pub(super) fn prioritise(&self, priority: Priority) {
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
    pub(super) async fn write_some(&mut self, queue: &mut VecDeque<Bytes>) -> io::Result<usize> {
        let written = self.stream.write_chunks(queue.make_contiguous()).await?;
        queue.drain(..written.chunks);
        Ok(written.bytes)
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.over = true;
        Ok(self.stream.finish()?)
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

/// An answer that is written: its head, then its body as DATA frames.
pub(in crate::serve) struct Sent<'a> {
    pub(super) writer: &'a mut Writer,
    pub(super) queue: VecDeque<Bytes>,
    /// Whether each piece is a frame of its own; else one frame was begun for the whole body.
    pub(super) framed: bool,
    /// The memory of frames' headers.
    pub(super) headers: BytesMut,
    pub(super) ended: bool,
    /// Bytes that QUIC took, with framing.
    pub(super) taken: &'a Cell<u64>,
}

impl Sink for Sent<'_> {
    fn push(&mut self, data: Bytes) {
        if self.framed {
            push_data_header(&mut self.headers, data.len() as u64);
            self.queue.push_back(self.headers.split().freeze());
        }
        self.queue.push_back(data);
    }

    fn end(&mut self) {
        self.ended = true;
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn is_full(&self) -> bool {
        self.queue.len() >= BATCH
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
