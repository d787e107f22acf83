//! Connections to the back-end, kept for the next request.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use gateway_bench::tls::BACK_END_NAME;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The back-end.
pub(crate) struct Upstream {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    idle: RefCell<Vec<Link>>,
}

/// A connection with its receive buffer.
pub(crate) struct Link {
    pub(crate) io: Stream,
    pub(crate) buffer: BytesMut,
}

/// Plain or not.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Upstream {
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            idle: RefCell::default(),
        }
    }

    pub(crate) fn mutual(address: SocketAddr, config: ClientConfig) -> Result<Self> {
        let name = ServerName::try_from(BACK_END_NAME)?;
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Self {
            tls: Some((tls, name)),
            ..Self::plain(address)
        })
    }

    /// The one that was used last, or a new one.
    pub(crate) async fn get(&self) -> Result<Link> {
        // Not in the `match`: the borrow would last until the end of it.
        let idle = self.idle.borrow_mut().pop();
        if let Some(link) = idle {
            return Ok(link);
        }
        let tcp = TcpStream::connect(self.address).await;
        let tcp = tcp.context("cannot connect to the back-end")?;
        tcp.set_nodelay(true)?;
        let io = match &self.tls {
            None => Stream::Plain(tcp),
            Some((tls, name)) => Stream::Tls(Box::new(tls.connect(name.clone(), tcp).await?)),
        };
        Ok(Link {
            io,
            buffer: BytesMut::with_capacity(RECEIVE),
        })
    }

    /// Keeps it for the next.
    pub(crate) fn put(&self, link: Link) {
        self.idle.borrow_mut().push(link);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

const RECEIVE: usize = 64 * 1024;
