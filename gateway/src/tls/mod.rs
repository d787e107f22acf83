//! The one place that knows TLS: a [`Transport`] reads plaintext into the caller's buffer and
//! writes plaintext from the caller's slices, whatever lies beneath.
//!
//! Two kinds lie beneath: a client's TLS 1.3 connection has records of our own, all else is stock
//! (ARCHITECTURE.md, "TLS").

mod client;
mod records;
mod server;
mod socket;
mod stock;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
pub(crate) use client::Connector;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
pub(crate) use server::Acceptor;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use self::records::Records;
use self::socket::Socket;
use self::stock::Stock;
use crate::outgoing::Outgoing;
use crate::tcp_info::{Traffic, traffic};
pub(crate) use records::{HANDSHAKE_MEMORY, KEPT};

/// A byte stream, encrypted or not.
///
/// Reading and writing take `&self`, so that the two directions of an exchange can be two futures
/// of one task. They never run at once: a worker is one thread, and no borrow outlives a poll.
#[derive(Debug)]
pub(crate) struct Transport {
    io: RefCell<Io>,
}

#[derive(Debug)]
enum Io {
    Records(Box<Records>),
    Stock(Stock),
}

impl Transport {
    /// Plain TCP.
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self::stock(Stock::Plain(Socket::new(stream)))
    }

    /// Reads what is there behind what `buffer` holds; 0 at the end of the stream. It needs spare
    /// capacity, unless [`Transport::has_received`].
    pub(crate) async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    /// As [`Transport::read`], once.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        self.with(|io| match io {
            Io::Records(io) => io.poll_read(cx, buffer),
            // The future of `read_buf` keeps nothing between polls, so it can be made anew each time.
            Io::Stock(io) => pin!(io.read_buf(buffer)).poll(cx),
        })
    }

    /// Whether something was received and not yet handed out, in memory where more has room.
    pub(crate) fn has_received(&self) -> bool {
        self.with(|io| match io {
            Io::Records(io) => io.has_received(),
            Io::Stock(_) => false,
        })
    }

    /// Fills an empty `buffer` with what was received before, without asking the kernel; false if
    /// nothing is ready. A fault is left for the next read.
    pub(crate) fn take_received(&self, buffer: &mut BytesMut) -> bool {
        self.with(|io| match io {
            Io::Records(io) => io.take_received(buffer),
            Io::Stock(_) => false,
        })
    }

    /// Waits until the peer has ended its direction or the connection is gone, even if bytes before
    /// that are unread; they stay so. Of TLS it knows nothing: a close_notify alone is no end.
    pub(crate) async fn ended(&self) {
        poll_fn(|cx| self.poll_ended(cx)).await;
    }

    /// As [`Transport::ended`], once.
    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|io| io.socket().poll_ended(cx))
    }

    /// Writes all of `out`, in as few system calls as its pieces allow.
    pub(crate) async fn write_all(&self, out: &mut Outgoing) -> io::Result<()> {
        while !out.is_empty() {
            self.write_some(out).await?;
        }
        Ok(())
    }

    /// Writes what fits of `out`, which must not be empty, and removes it there.
    pub(crate) async fn write_some(&self, out: &mut Outgoing) -> io::Result<()> {
        poll_fn(|cx| {
            self.with(|io| match io {
                Io::Records(io) => io.poll_write(cx, out),
                Io::Stock(io) => poll_write(io, cx, out),
            })
        })
        .await
    }

    /// Hands everything written to the kernel.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        poll_fn(|cx| {
            self.with(|io| match io {
                Io::Records(io) => io.poll_flush(cx),
                Io::Stock(io) => Pin::new(io).poll_flush(cx),
            })
        })
        .await
    }

    /// Ends the sending direction: close_notify where there is TLS, then FIN.
    pub(crate) async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|cx| {
            self.with(|io| match io {
                Io::Records(io) => io.poll_shutdown(cx),
                Io::Stock(io) => Pin::new(io).poll_shutdown(cx),
            })
        })
        .await
    }

    /// Whether an idle connection is still usable: open, and nothing has arrived unasked. Asks the
    /// kernel (tokio may not know yet what has arrived) and, where there is TLS, rustls.
    ///
    /// A late session ticket makes a connection unusable as well: telling it from an answer that
    /// nobody asked for is not worth it.
    pub(crate) fn is_quiet(&self) -> bool {
        self.with(|io| match io {
            Io::Stock(Stock::Client(io)) => {
                let (socket, session) = io.get_mut();
                nothing_received(socket.tcp())
                    && session
                        .process_new_packets()
                        .is_ok_and(|state| state.plaintext_bytes_to_read() == 0)
            }
            Io::Stock(Stock::Plain(socket)) => nothing_received(socket.tcp()),
            // A client's connection is never pooled.
            Io::Stock(Stock::Server(_)) | Io::Records(_) => false,
        })
    }

    /// What the kernel has exchanged with the peer so far.
    pub(crate) fn traffic(&self) -> io::Result<Traffic> {
        self.with(|io| traffic(io.socket().tcp()))
    }

    /// Lets the kernel drop what it has not sent when the connection ends, and reset it: a peer
    /// that takes nothing would make it keep that for long.
    pub(crate) fn reset_at_end(&self) -> io::Result<()> {
        self.with(|io| SockRef::from(io.socket().tcp()).set_linger(Some(Duration::ZERO)))
    }

    fn records(io: Box<Records>) -> Self {
        Self {
            io: RefCell::new(Io::Records(io)),
        }
    }

    fn stock(io: Stock) -> Self {
        Self {
            io: RefCell::new(Io::Stock(io)),
        }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Io) -> R) -> R {
        f(&mut self.io.borrow_mut())
    }
}

impl Io {
    fn socket(&self) -> &Socket {
        match self {
            Self::Records(io) => io.socket(),
            Self::Stock(io) => io.socket(),
        }
    }
}

fn poll_write(io: &mut Stock, cx: &mut Context<'_>, out: &mut Outgoing) -> Poll<io::Result<()>> {
    let written = if out.chunk().len() == out.remaining() {
        // Most heads; the kernel has less to look at.
        ready!(Pin::new(io).poll_write(cx, out.chunk()))?
    } else {
        let mut slices = [IoSlice::new(&[]); Outgoing::BATCH];
        let used = out.chunks_vectored(&mut slices);
        let slices = slices.get(..used).unwrap_or_default();
        ready!(Pin::new(io).poll_write_vectored(cx, slices))?
    };
    if written == 0 {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    out.advance(written);
    Poll::Ready(Ok(()))
}

/// Whether the kernel holds nothing of an open connection: no bytes, no end, no error.
fn nothing_received(socket: &TcpStream) -> bool {
    let mut byte = [0_u8; 1];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(recv(socket, &mut byte, flags), Err(Errno::AGAIN))
}

/// The one cryptography provider: aws-lc-rs (`ring` is banned).
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Turns a loaded certificate into a signing one; a fault names the key that does not fit.
fn certified_key(
    certificate: &config::Certificate,
) -> Result<rustls::sign::CertifiedKey, config::Diagnostic> {
    rustls::sign::CertifiedKey::from_der(
        certificate.chain.clone(),
        certificate.key.clone_key(),
        &provider(),
    )
    .map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => certificate
            .key_origin
            .fault("this key does not belong to the certificate; expected the key of its leaf"),
        error => certificate
            .chain_origin
            .fault(format!("unusable certificate or key: {error}")),
    })
}
