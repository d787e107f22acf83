//! The one place that knows TLS: a [`Transport`] reads plaintext into the caller's buffer and
//! writes plaintext from the caller's slices, whatever lies beneath.
//!
//! Stock rustls for now; the record layer is to be replaced behind these signatures
//! (ARCHITECTURE.md, "TLS").

mod client;
mod server;
mod socket;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
pub(crate) use client::Connector;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
pub(crate) use server::Acceptor;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use self::socket::Socket;
use crate::outgoing::Outgoing;
use crate::tcp_info::{Traffic, traffic};

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
    Client(Box<tokio_rustls::client::TlsStream<Socket>>),
    Plain(Socket),
    Server(Box<tokio_rustls::server::TlsStream<Socket>>),
}

impl Transport {
    /// Plain TCP.
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self::new(Io::Plain(Socket::new(stream)))
    }

    /// Reads what is there into the spare capacity of `buffer`, which must not be zero; 0 at the
    /// end of the stream.
    pub(crate) async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    /// As [`Transport::read`], once.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        // The future of `read_buf` keeps nothing between polls, so it can be made anew each time.
        self.with(|io| pin!(io.read_buf(buffer)).poll(cx))
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
        let written = {
            let mut slices = [IoSlice::new(&[]); Outgoing::BATCH];
            let used = out.chunks_vectored(&mut slices);
            let slices = slices.get(..used).unwrap_or_default();
            poll_fn(|cx| self.with(|io| Pin::new(io).poll_write_vectored(cx, slices))).await?
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        out.advance(written);
        Ok(())
    }

    /// Hands everything written to the kernel.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        poll_fn(|cx| self.with(|io| Pin::new(io).poll_flush(cx))).await
    }

    /// Ends the sending direction: close_notify where there is TLS, then FIN.
    pub(crate) async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|cx| self.with(|io| Pin::new(io).poll_shutdown(cx))).await
    }

    /// Whether an idle connection is still usable: open, and nothing has arrived unasked. Asks the
    /// kernel (tokio may not know yet what has arrived) and, where there is TLS, rustls.
    ///
    /// A late session ticket makes a connection unusable as well: telling it from an answer that
    /// nobody asked for is not worth it.
    pub(crate) fn is_quiet(&self) -> bool {
        self.with(|io| match io {
            Io::Client(io) => {
                let (socket, session) = io.get_mut();
                nothing_received(socket.tcp())
                    && session
                        .process_new_packets()
                        .is_ok_and(|state| state.plaintext_bytes_to_read() == 0)
            }
            Io::Plain(socket) => nothing_received(socket.tcp()),
            // A client's connection is never pooled.
            Io::Server(_) => false,
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

    fn new(io: Io) -> Self {
        Self {
            io: RefCell::new(io),
        }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Io) -> R) -> R {
        f(&mut self.io.borrow_mut())
    }
}

impl Io {
    fn socket(&self) -> &Socket {
        match self {
            Self::Client(io) => io.get_ref().0,
            Self::Plain(io) => io,
            Self::Server(io) => io.get_ref().0,
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Client(io) => Pin::new(io).poll_read(cx, buf),
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Server(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Client(io) => Pin::new(io).poll_write(cx, buf),
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Server(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Client(io) => Pin::new(io).poll_flush(cx),
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Server(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Client(io) => Pin::new(io).poll_shutdown(cx),
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Server(io) => Pin::new(io).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Client(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Server(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }
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
