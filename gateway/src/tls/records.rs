//! A client's TLS 1.3 connection: our own records between a socket and the caller's buffers.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use record::{Handshake, HandshakeError, MAX_HANDSHAKE, Received, SealError, Session, Step};
use rustls::ServerConfig;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::coop::poll_proceed;

pub(crate) use self::sealed::KEPT;
use self::sealed::{ALERT, RECORDS, Sealed};
use super::socket::Socket;

mod sealed;

/// A connection after its handshake.
pub(super) struct Records {
    stream: Socket,
    session: Session<KernelConnection<ServerConnectionData>>,
    /// Received and not opened. Has memory only while it holds something.
    received: BytesMut,
    /// That is the beginning of a record, in memory of its size, while its rest is waited for.
    parked: bool,
    sealed: Sealed,
}

/// How a handshake ended.
pub(super) enum Shaken {
    /// It is complete.
    Done(Box<Records>),
    /// The client's first message is stock rustls's to judge: no answer was sent, and here is all
    /// that came.
    Stock(TcpStream, BytesMut),
}

impl Records {
    /// Performs the handshake. `config` knows TLS 1.3 only.
    pub(super) async fn accept(
        mut stream: TcpStream,
        config: Arc<ServerConfig>,
    ) -> io::Result<Shaken> {
        let mut handshake = Handshake::new(config).map_err(invalid)?;
        let mut received = BytesMut::new();
        let mut out = Vec::new();
        loop {
            received.reserve(HANDSHAKE_READ);
            let mut room = (&mut received).limit(HANDSHAKE_READ);
            if stream.read_buf(&mut room).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let step = match handshake.advance(&mut received, &mut out) {
                Ok(step) => step,
                Err(HandshakeError::First(_)) => return Ok(Shaken::Stock(stream, received)),
                Err(HandshakeError::Later(error)) => {
                    // The alert is a courtesy; what went wrong is what is reported.
                    let _ = stream.try_write(&out);
                    return Err(invalid(error));
                }
            };
            stream.write_all(&out).await?;
            out.clear();
            if step == Step::Done {
                break;
            }
        }
        Ok(Shaken::Done(Box::new(Self {
            stream: Socket::new(stream),
            session: handshake.finish().map_err(invalid)?,
            // In no more memory than it needs: the handshake may have taken much.
            received: BytesMut::from(&received[..]),
            parked: false,
            sealed: Sealed::default(),
        })))
    }

    /// What lies beneath.
    pub(super) fn socket(&self) -> &Socket {
        &self.stream
    }

    /// Whether something was received and not opened, in memory where its rest has room: else a read
    /// needs the caller's.
    pub(super) fn has_received(&self) -> bool {
        !self.received.is_empty() && !self.parked
    }

    /// Puts the payload of one record behind what `buffer` holds; 0 at the end. An empty buffer
    /// becomes the record's own memory, which was the buffer's before if it had some.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        if self.has_received() {
            // It counts as a read of the kernel does: else a client with many small records would
            // keep the task from ending its turn.
            ready!(poll_proceed(cx)).made_progress();
        }
        loop {
            let missing = match self.session.open(&mut self.received) {
                Ok(Received::Closed) => {
                    self.received = BytesMut::new();
                    return Poll::Ready(Ok(0));
                }
                Ok(Received::Data(data)) => {
                    let length = data.len();
                    self.hand_over(data, buffer);
                    return Poll::Ready(Ok(length));
                }
                Ok(Received::NeedMore(missing)) => missing,
                Err(fault) => {
                    // The alert is a courtesy, as in a handshake.
                    let _ = self.end();
                    let _ = self.sealed.poll_write(cx, &mut self.stream);
                    return Poll::Ready(Err(invalid(fault)));
                }
            };
            self.make_room(buffer, missing);
            let read = pin!(self.stream.read_buf(&mut self.received)).poll(cx);
            if self.received.is_empty() || read.is_pending() && self.received.len() <= PARKED {
                self.park(buffer);
            }
            if ready!(read)? == 0 {
                // RFC 8446 §6.1: without close_notify it may have been cut by anybody.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// As [`Records::poll_read`], if `buffer` is empty, a whole record is here already, and nothing
    /// is wrong with it; else false.
    pub(super) fn take_received(&mut self, buffer: &mut BytesMut) -> bool {
        if !buffer.is_empty() || self.received.is_empty() {
            return false;
        }
        // A fault, or the end, is found again by the next read.
        let Ok(Received::Data(data)) = self.session.open(&mut self.received) else {
            return false;
        };
        self.hand_over(data, buffer);
        true
    }

    /// Seals what fits into one write and writes what the kernel takes, once it has taken all that
    /// was sealed before.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut impl Buf,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        let session = &mut self.session;
        self.sealed
            .append(RECORDS, |room| session.seal(out, room))
            .map_err(|error| match error {
                SealError::Ended => io::ErrorKind::BrokenPipe.into(),
                SealError::Key(error) => io::Error::other(error),
            })?;
        match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What is sealed is written, as far as the caller is concerned.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    /// Hands all that is sealed to the kernel.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sealed.poll_write(cx, &mut self.stream)
    }

    /// Ends our direction.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end()?;
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Seals the end behind what waits; nothing if it is sealed already.
    fn end(&mut self) -> io::Result<()> {
        let session = &mut self.session;
        self.sealed
            .append(ALERT, |room| session.end(room))
            .map_err(io::Error::other)
    }

    fn hand_over(&mut self, data: BytesMut, buffer: &mut BytesMut) {
        if self.received.is_empty() {
            // So that whoever holds the payload can use the rest of its memory again.
            self.received = BytesMut::new();
        }
        if buffer.is_empty() {
            *buffer = data;
        } else {
            buffer.extend_from_slice(&data);
        }
    }

    /// Gives the caller back its memory. Who waits holds what has come, and no more: a record's rest may
    /// be long in coming.
    fn park(&mut self, buffer: &mut BytesMut) {
        let mut memory = std::mem::take(&mut self.received);
        if !memory.is_empty() {
            self.received = BytesMut::from(&memory[..]);
            self.parked = true;
        }
        if buffer.is_empty() {
            memory.clear();
            *buffer = memory;
        }
    }

    /// Makes room for at least `missing` bytes.
    fn make_room(&mut self, buffer: &mut BytesMut, missing: usize) {
        if !self.has_received() {
            let memory = match buffer.len() {
                // What is read lies where its payload is to be.
                0 => std::mem::take(buffer),
                // It has to be copied in any case; what is split off could not grow in place.
                length => BytesMut::with_capacity(buffer.capacity() - length),
            };
            let begun = std::mem::replace(&mut self.received, memory);
            if std::mem::take(&mut self.parked) {
                self.received.extend_from_slice(&begun);
            }
        } else if buffer.is_empty() {
            // It may be the last that keeps our memory from being used again.
            *buffer = BytesMut::new();
        }
        // Memory follows what has come: the beginning of a record costs little.
        if !self.received.try_reclaim(missing) {
            self.received.reserve(missing.min(GROWTH));
        }
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("stream", &self.stream)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The most bytes of a handshake: what is received, a first copy of it, both in memory that doubles
/// as it grows, and rustls's view of a message, and its transcript.
pub(crate) const HANDSHAKE_MEMORY: usize = 6 * (MAX_HANDSHAKE + HANDSHAKE_READ);

/// The most of a record, in bytes, that moves to memory of its own, and back when more comes. What is more
/// stays where it is: in a fast upload most is.
const PARKED: usize = 4 * 1024;

/// So much room is made for a record that has begun.
const GROWTH: usize = 4 * 1024;

/// The most that is read at once. A ClientHello fits, and a client's last message.
const HANDSHAKE_READ: usize = 2 * 1024;
