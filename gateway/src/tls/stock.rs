//! Bytes by tokio and stock rustls: plain TCP, TLS with back-ends, and the front's TLS where it is
//! not our own records (`super::records`).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::socket::Socket;

/// A stream of one of these kinds.
#[derive(Debug)]
pub(super) enum Stock {
    /// To a back-end.
    Client(Box<tokio_rustls::client::TlsStream<Socket>>),
    /// Without TLS.
    Plain(Socket),
    /// From a client.
    Server(Box<tokio_rustls::server::TlsStream<Socket>>),
}

impl Stock {
    /// What lies beneath.
    pub(super) fn socket(&self) -> &Socket {
        match self {
            Self::Client(io) => io.get_ref().0,
            Self::Plain(io) => io,
            Self::Server(io) => io.get_ref().0,
        }
    }
}

impl AsyncRead for Stock {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Client(io) => Pin::new(io).poll_read(cx, buf),
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Server(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stock {
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
