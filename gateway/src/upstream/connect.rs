//! One new connection to one server.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use config::{Diagnostic, ServerAddress};
use policy::Fault;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{UpstreamError, tls_cause};
use crate::listen::keepalive;
use crate::tls::{Connector, Transport};

/// A back-end server, ready to connect to.
#[derive(Debug)]
pub(crate) struct Server {
    address: ServerAddress,
    port: u16,
    url: Box<str>,
    connector: Connector,
    /// Lookups of its name that may yet begin: each holds a thread until the resolver answers, even
    /// if nobody waits for it any more.
    lookups: Arc<Semaphore>,
}

impl Server {
    /// Prepares a configured server.
    pub(crate) fn new(server: &config::Server) -> Result<Self, Diagnostic> {
        Ok(Self {
            address: server.address.clone(),
            port: server.port,
            url: server.url.clone(),
            connector: Connector::new(&server.tls)?,
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        })
    }

    /// Its URL, for logs.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Connects, handshake included, within `limit`.
    pub(crate) async fn connect(&self, limit: Duration) -> Result<Transport, UpstreamError> {
        timeout(limit, self.connect_unlimited())
            .await
            .unwrap_or_else(|_| {
                let detail = format!("no connection to {} within {limit:?}", self.url);
                Err(UpstreamError::new(Fault::ConnectTimeout, detail))
            })
    }

    async fn connect_unlimited(&self) -> Result<Transport, UpstreamError> {
        #[cfg(test)]
        if let Some(dialled) = crate::simulation::dial() {
            return dialled;
        }
        let stream = match &self.address {
            ServerAddress::Ip(ip) => self.tcp(SocketAddr::new(*ip, self.port)).await?,
            ServerAddress::Name(name) => self.tcp_by_name(name).await?,
        };
        self.connector.connect(stream).await.map_err(|error| {
            let fault = match tls_cause(&error) {
                Some(_) => Fault::Tls,
                None => Fault::Connect,
            };
            UpstreamError::new(fault, format!("TLS with {}: {error}", self.url))
        })
    }

    /// Tries the addresses of a name in the resolver's order.
    async fn tcp_by_name(&self, name: &str) -> Result<TcpStream, UpstreamError> {
        let unresolved = |why: &str| {
            UpstreamError::new(
                Fault::Resolve,
                format!("resolving {name} for {}: {why}", self.url),
            )
        };
        let permit = Arc::clone(&self.lookups).acquire_owned().await;
        let permit = permit.map_err(|error| unresolved(&error.to_string()))?;
        let (host, port) = (name.to_owned(), self.port);
        let lookup = spawn_blocking(move || {
            let addresses = (host, port).to_socket_addrs();
            drop(permit);
            addresses
        });
        let addresses = lookup
            .await
            .map_err(|error| unresolved(&error.to_string()))?
            .map_err(|error| unresolved(&error.to_string()))?;
        let mut last = unresolved("no address");
        for address in addresses {
            match self.tcp(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn tcp(&self, address: SocketAddr) -> Result<TcpStream, UpstreamError> {
        let connected = TcpStream::connect(address).await;
        let stream = connected.and_then(|stream| {
            stream.set_nodelay(true)?;
            SockRef::from(&stream).set_tcp_keepalive(&keepalive())?;
            Ok(stream)
        });
        stream.map_err(|error| {
            let detail = format!("connecting to {} ({address}): {error}", self.url);
            UpstreamError::new(Fault::Connect, detail)
        })
    }
}

/// How many lookups of one name run at once, for all workers. Answers take a millisecond or so; a
/// resolver that hangs holds no more threads than this.
const LOOKUPS: usize = 4;
