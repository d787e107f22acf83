//! Binding listening sockets: all of them before anything is served, or none.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use config::{Diagnostic, Origin};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// The sockets of every worker, by worker and listener, and the addresses that they have.
#[derive(Debug)]
pub(crate) struct Bound {
    /// By worker, then by listener.
    pub(crate) sockets: Vec<Vec<TcpListener>>,
    /// By listener, with the port that the kernel chose where 0 was configured.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// Binds each listener once for each worker (`SO_REUSEPORT`: the kernel spreads connections).
pub(crate) fn bind<'a>(
    listeners: impl Iterator<Item = &'a (SocketAddr, Origin)>,
    workers: usize,
) -> Result<Bound, Vec<Diagnostic>> {
    let mut sockets: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    let mut faults = Vec::new();
    for listener in listeners {
        match bind_one(&listener.0, workers) {
            Ok((address, bound)) => {
                addresses.push(address);
                for (worker, socket) in sockets.iter_mut().zip(bound) {
                    worker.push(socket);
                }
            }
            Err(error) => faults.push(fault(listener, &error)),
        }
    }
    if faults.is_empty() {
        Ok(Bound { sockets, addresses })
    } else {
        Err(faults)
    }
}

/// Binds the admin listener, alone.
pub(crate) fn bind_admin(address: &(SocketAddr, Origin)) -> Result<TcpListener, Diagnostic> {
    socket(&address.0, false).map_err(|error| fault(address, &error))
}

fn bind_one(address: &SocketAddr, workers: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    // `SO_REUSEPORT` would let a second gateway of the same user join silently, and take half of
    // the connections. A bind without it fails where anybody listens.
    drop(socket(address, false)?);
    let first = socket(address, true)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(socket(&address, true)?);
    }
    Ok((address, sockets))
}

fn socket(address: &SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(*address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Old connections in TIME_WAIT are no reason not to start.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    // On Linux, accepted sockets inherit both.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive())?;
    socket.bind(&(*address).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Finds peers that have vanished without a word, and keeps middleboxes from forgetting a quiet
/// WebSocket.
pub(crate) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES)
}

fn fault((address, origin): &(SocketAddr, Origin), error: &io::Error) -> Diagnostic {
    let expected = match error.kind() {
        io::ErrorKind::AddrInUse => "expected an address on which nobody listens",
        io::ErrorKind::AddrNotAvailable => "expected an address of this host",
        io::ErrorKind::PermissionDenied => {
            "expected a port that this user may bind (below 1024: CAP_NET_BIND_SERVICE)"
        }
        _ => "expected an address to listen on",
    };
    origin.fault(format!("cannot listen on {address}: {error}; {expected}"))
}

/// Below the minute after which common middleboxes forget a connection.
const KEEPALIVE_TIME: Duration = Duration::from_secs(45);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 4;

/// The kernel cuts this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            file: "gateway.toml".into(),
            line: 7,
            key: "listener[0].address".into(),
        }
    }

    #[test]
    fn a_port_that_is_taken_names_the_key() {
        for shared in [false, true] {
            let taken = socket(&"127.0.0.1:0".parse().unwrap(), shared).unwrap();
            let address = taken.local_addr().unwrap();
            let faults = bind(std::iter::once(&(address, origin())), 2).unwrap_err();
            let text = faults[0].to_string();
            assert!(
                text.starts_with("gateway.toml:7: listener[0].address: cannot listen on"),
                "{text}"
            );
            assert!(text.contains("nobody listens"), "{text}");
        }
    }

    #[test]
    fn workers_share_one_port() {
        let (address, sockets) = bind_one(&"127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_ne!(address.port(), 0);
        assert!(
            sockets
                .iter()
                .all(|socket| socket.local_addr().unwrap() == address)
        );
    }
}
