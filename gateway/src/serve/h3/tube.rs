//! A request stream that is a tunnel: a WebSocket's bytes in DATA frames (RFC 9220).

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use wire::h1::Chunked;

use super::upload::Reader;
use super::writer::{Queue, Writer};
use crate::buffers::Reads;
use crate::outgoing::Outgoing;
use crate::serve::tunnel::Tube;

/// Both directions of a request stream.
///
/// Borrowed while one direction is polled, and never between two polls; see
/// [`Transport`](crate::tls::Transport).
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) reader: RefCell<Reader>,
    pub(super) writer: RefCell<Writer>,
    /// What a tunnel has to write before anything else.
    queue: RefCell<Queue>,
}

impl Stream {
    pub(super) fn new(reader: Reader, writer: Writer) -> Self {
        Self {
            reader: RefCell::new(reader),
            writer: RefCell::new(writer),
            queue: RefCell::default(),
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut queue = self.queue.borrow_mut();
        let mut writer = self.writer.borrow_mut();
        while !queue.is_empty() {
            let written = {
                // It keeps nothing between polls, so it can be made anew each time.
                let write = writer.write_some(&mut queue);
                ready!(pin!(write).poll(cx))
            };
            written?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Reads for Stream {
    fn has_received(&self) -> bool {
        false
    }

    /// Copies: what a WebSocket's client sends is small, and is looked at byte by byte anyway, for its
    /// frames.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut reader = self.reader.borrow_mut();
        let before = buffer.len();
        loop {
            match reader.take().map_err(io::Error::other)? {
                Chunked::Data(data) => buffer.extend_from_slice(&data),
                Chunked::End => return Poll::Ready(Ok(buffer.len() - before)),
                Chunked::NeedMore if buffer.len() > before => {
                    return Poll::Ready(Ok(buffer.len() - before));
                }
                Chunked::NeedMore => ready!(reader.poll_more(cx)).map_err(io::Error::other)?,
            }
        }
    }
}

impl Tube for Stream {
    async fn write_some(&self, out: &mut Outgoing) -> io::Result<()> {
        poll_fn(|cx| self.poll_write(cx)).await?;
        let mut queue = self.queue.borrow_mut();
        while let Some(piece) = out.pop() {
            queue.push_frame(piece);
        }
        Ok(())
    }

    async fn flush(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_write(cx)).await
    }

    async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_write(cx)).await?;
        self.writer.borrow_mut().finish()
    }
}
