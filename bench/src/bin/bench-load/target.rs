//! Where the load goes, and what it consists of.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use gateway_bench::order::{Order, Request, Work};
use gateway_bench::tls;
use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::connection::Connection;

/// One for all connections.
pub(crate) struct Target {
    address: SocketAddr,
    name: ServerName<'static>,
    tls: TlsConnector,
    requests: Vec<Request>,
    /// Which request is the next.
    next: Cell<usize>,
    connections: usize,
}

impl Target {
    pub(crate) fn new(order: &Order) -> Result<Self> {
        let resume = matches!(order.work, Work::Handshakes { resumed: true, .. });
        let tls = tls::client(&order.ca, order.group, resume)?;
        let name = ServerName::try_from(order.name.clone()).context("the server's name")?;
        anyhow::ensure!(!order.requests.is_empty(), "no request");
        Ok(Self {
            address: order.address,
            name,
            tls: TlsConnector::from(Arc::new(tls)),
            requests: order.requests.clone(),
            next: Cell::new(0),
            connections: usize::try_from(order.connections)?,
        })
    }

    /// How many connections are wanted.
    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    /// The next request: all take their turns.
    pub(crate) fn next(&self) -> Result<&Request> {
        let at = self.next.get();
        self.next.set((at + 1) % self.requests.len());
        self.requests.get(at).context("no request")
    }

    /// A new connection, TLS included.
    pub(crate) async fn dial(&self) -> Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await;
        let tcp = tcp.with_context(|| format!("cannot connect to {}", self.address))?;
        tcp.set_nodelay(true).context("cannot set an option")?;
        let stream = self.tls.connect(self.name.clone(), tcp).await;
        stream.context("no TLS")
    }

    /// All connections, after every request was answered once.
    pub(crate) async fn connect(&self) -> Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(Connection::new(self.dial().await?));
        }
        let rounds = self.requests.len().div_ceil(self.connections).max(1);
        for _ in 0..rounds {
            for connection in &mut connections {
                let answered = connection.exchange(self.next()?).await?;
                if !answered.kept {
                    *connection = Connection::new(self.dial().await?);
                }
            }
        }
        Ok(connections)
    }

    /// One connection with one request; whether its session was resumed, and how much payload
    /// there was.
    pub(crate) async fn once(&self) -> Result<(bool, u64)> {
        let stream = self.dial().await?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        let mut connection = Connection::new(stream);
        let answered = connection.exchange(self.next()?).await?;
        connection.close().await?;
        Ok((resumed, answered.bytes))
    }
}
