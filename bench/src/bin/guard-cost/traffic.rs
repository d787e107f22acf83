//! Traffic over loopback by one thread: whatever is sent has arrived when the call returns, so
//! nothing waits, and nothing else runs in between.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use socket2::{Domain, SockRef, Socket, Type};

use crate::place::{Cgroups, Role};

/// The listeners, and who made them.
pub(crate) struct Traffic<'a> {
    cgroups: &'a Cgroups,
    /// The service's, on the protected port.
    protected: TcpListener,
    /// The gateway's, on another.
    public: TcpListener,
}

/// A connection with both its ends.
pub(crate) struct Pair {
    client: TcpStream,
    server: TcpStream,
}

/// A client's connection to the gateway, and the gateway's to the service.
pub(crate) struct Proxied {
    front: Pair,
    back: Pair,
}

impl<'a> Traffic<'a> {
    /// Listens.
    pub(crate) fn listen(cgroups: &'a Cgroups) -> Result<Self> {
        let protected = cgroups.play(Role::Backend, || listen(PROTECTED))?;
        let public = cgroups.play(Role::Gateway, || listen(PUBLIC))?;
        Ok(Self {
            cgroups,
            protected,
            public,
        })
    }

    /// A connection to the protected port from the gateway.
    pub(crate) fn to_protected(&self) -> Result<Pair> {
        self.cgroups
            .play(Role::Gateway, || pair(PROTECTED, &self.protected))
    }

    /// A connection to the other port from anybody.
    pub(crate) fn to_public(&self) -> Result<Pair> {
        pair(PUBLIC, &self.public)
    }

    /// Both, one behind the other.
    pub(crate) fn proxied(&self) -> Result<Proxied> {
        Ok(Proxied {
            front: self.to_public()?,
            back: self.to_protected()?,
        })
    }

    /// A connection to the protected port from whom this is called for, which the service ends:
    /// three packets make it, and the last one goes to another port.
    pub(crate) fn connect(&self) -> Result<()> {
        let client = connect(PROTECTED)?;
        let (server, _) = self.protected.accept().context("cannot accept")?;
        reset_at_end(&server)?;
        drop(server);
        drop(client);
        Ok(())
    }

    /// Does something as the gateway.
    pub(crate) fn as_gateway<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.cgroups.play(Role::Gateway, work)
    }

    /// Whether somebody who is not the gateway can connect to the protected port.
    pub(crate) fn is_open(&self) -> Result<bool> {
        let Ok(client) = connect(PROTECTED) else {
            return Ok(false);
        };
        let (server, _) = self.protected.accept().context("cannot accept")?;
        reset_at_end(&client)?;
        reset_at_end(&server)?;
        Ok(true)
    }
}

impl Pair {
    /// One byte there and one back: a packet each way, each of which acknowledges the other.
    pub(crate) fn round_trip(&mut self) -> Result<()> {
        pass(&mut self.client, &mut self.server)?;
        pass(&mut self.server, &mut self.client)
    }
}

impl Proxied {
    /// A request through the proxy and its answer: four packets.
    pub(crate) fn request(&mut self) -> Result<()> {
        let Self { front, back } = self;
        pass(&mut front.client, &mut front.server)?;
        back.round_trip()?;
        pass(&mut front.server, &mut front.client)
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).context("no socket")?;
    socket
        .set_reuse_address(true)
        .and_then(|()| socket.bind(&address.into()))
        .and_then(|()| socket.listen(BACKLOG))
        .with_context(|| format!("cannot listen on {address}"))?;
    Ok(socket.into())
}

fn pair(address: SocketAddr, listener: &TcpListener) -> Result<Pair> {
    let client = connect(address)?;
    let (server, _) = listener.accept().context("cannot accept")?;
    for end in [&client, &server] {
        end.set_nodelay(true).context("TCP_NODELAY")?;
        end.set_read_timeout(Some(LIMIT)).context("SO_RCVTIMEO")?;
        reset_at_end(end)?;
    }
    Ok(Pair { client, server })
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    TcpStream::connect_timeout(&address, LIMIT)
        .with_context(|| format!("cannot connect to {address}"))
}

/// Thousands of connections in TIME_WAIT would slow down whatever is measured next.
fn reset_at_end(stream: &TcpStream) -> Result<()> {
    SockRef::from(stream)
        .set_linger(Some(Duration::ZERO))
        .context("SO_LINGER")
}

fn pass(from: &mut TcpStream, to: &mut TcpStream) -> Result<()> {
    from.write_all(b"!").context("cannot send")?;
    let mut byte = [0];
    to.read_exact(&mut byte).context("nothing arrived")?;
    if byte != *b"!" {
        bail!("something else arrived");
    }
    Ok(())
}

/// The port that the rules protect.
pub(crate) const PROTECTED: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 3939);
const PUBLIC: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8443);
const BACKLOG: i32 = 1024;
const LIMIT: Duration = Duration::from_secs(2);
