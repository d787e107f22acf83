//! Binding listening sockets: all of them before anything is served, or none.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use config::{Diagnostic, Listener, Origin};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// The sockets of every worker, by worker and listener, and the addresses that they have.
#[derive(Debug)]
pub(crate) struct Bound {
    /// By worker, then by listener.
    pub(crate) sockets: Vec<Vec<Sockets>>,
    /// By listener, with the port that the kernel chose where 0 was configured.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Bound {
    /// Second descriptors of all UDP sockets, by listener and worker. As long as one of them is open,
    /// its socket gets datagrams, whether its worker reads them or not.
    pub(crate) fn udp(&self) -> io::Result<Vec<Vec<UdpSocket>>> {
        let of_listener = |listener| {
            let sockets = self
                .sockets
                .iter()
                .filter_map(|worker| worker.get(listener));
            let udp = sockets.filter_map(|sockets: &Sockets| sockets.udp.as_ref());
            udp.map(UdpSocket::try_clone)
                .collect::<io::Result<Vec<_>>>()
        };
        let listeners = (0..self.addresses.len()).map(of_listener);
        let of_http3 = |sockets: &io::Result<Vec<_>>| {
            sockets.as_ref().map_or(true, |sockets| !sockets.is_empty())
        };
        listeners.filter(of_http3).collect()
    }
}

/// One worker's sockets of one listener.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// For HTTP/1.1.
    pub(crate) tcp: TcpListener,
    /// For HTTP/3, where it is served; at the same address.
    pub(crate) udp: Option<UdpSocket>,
}

/// Binds each listener once for each worker (`SO_REUSEPORT`: the kernel spreads connections).
pub(crate) fn bind(listeners: &[Listener], workers: usize) -> Result<Bound, Vec<Diagnostic>> {
    let mut sockets: Vec<Vec<Sockets>> = (0..workers).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    let mut faults = Vec::new();
    for listener in listeners {
        match bind_one(&listener.address.0, listener.http3, workers) {
            Ok((address, bound)) => {
                addresses.push(address);
                for (worker, socket) in sockets.iter_mut().zip(bound) {
                    worker.push(socket);
                }
            }
            Err(error) => faults.push(fault(&listener.address, &error)),
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
    tcp(&address.0, false).map_err(|error| fault(address, &error))
}

fn bind_one(
    address: &SocketAddr,
    http3: bool,
    workers: usize,
) -> io::Result<(SocketAddr, Vec<Sockets>)> {
    let mut attempt = 1;
    loop {
        match bind_at(address, http3, workers) {
            // The kernel chose a port that is free for TCP; that it is free for UDP is only likely.
            Err(error)
                if address.port() == 0
                    && error.kind() == io::ErrorKind::AddrInUse
                    && attempt < MOST_ATTEMPTS =>
            {
                attempt += 1;
            }
            bound => return bound,
        }
    }
}

fn bind_at(
    address: &SocketAddr,
    http3: bool,
    workers: usize,
) -> io::Result<(SocketAddr, Vec<Sockets>)> {
    // `SO_REUSEPORT` would let a second gateway of the same user join silently, and take half of
    // the connections. A bind without it fails where anybody listens.
    drop(tcp(address, false)?);
    let mut tcp_sockets = vec![tcp(address, true)?];
    let address = tcp_sockets
        .first()
        .map_or(Ok(*address), TcpListener::local_addr)?;
    if http3 {
        drop(udp(&address, false)?);
    }
    while tcp_sockets.len() < workers {
        tcp_sockets.push(tcp(&address, true)?);
    }
    let sockets = tcp_sockets.into_iter().map(|tcp| {
        let udp = http3.then(|| udp(&address, true)).transpose()?;
        Ok(Sockets { tcp, udp })
    });
    Ok((address, sockets.collect::<io::Result<_>>()?))
}

fn tcp(address: &SocketAddr, shared: bool) -> io::Result<TcpListener> {
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

fn udp(address: &SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(*address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    // All clients of a worker share one socket. The kernel cuts these to `net.core.rmem_max` and
    // `wmem_max`.
    socket.set_recv_buffer_size(UDP_BUFFER)?;
    socket.set_send_buffer_size(UDP_BUFFER)?;
    socket.bind(&(*address).into())?;
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

/// How many ports are tried where any will do.
const MOST_ATTEMPTS: u32 = 16;

/// What a UDP socket may hold either way, in bytes.
const UDP_BUFFER: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: SocketAddr, http3: bool) -> Listener {
        let origin = Origin {
            file: "gateway.toml".into(),
            line: 7,
            key: "listener[0].address".into(),
        };
        let limits = config::Limits {
            connections: 1,
            connections_per_address: 1,
            header_fields: 16,
            target: 1024,
            body_rate: None,
            http3_handshakes: 0,
            http3_streams: 1,
        };
        Listener {
            name: "public".into(),
            address: (address, origin),
            proxy_protocol_from: Vec::new(),
            http3,
            limits,
            timeouts: config::ClientTimeouts {
                body: Duration::MAX,
                head: Duration::MAX,
                idle: Duration::MAX,
            },
            certificates: Vec::new(),
        }
    }

    fn any_port() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    fn text(listener: Listener) -> String {
        bind(&[listener], 2).unwrap_err()[0].to_string()
    }

    #[test]
    fn a_port_that_is_taken_names_the_key() {
        for shared in [false, true] {
            let taken = tcp(&any_port(), shared).unwrap();
            let text = text(listener(taken.local_addr().unwrap(), false));
            assert!(
                text.starts_with("gateway.toml:7: listener[0].address: cannot listen on"),
                "{text}"
            );
            assert!(text.contains("nobody listens"), "{text}");
        }
    }

    #[test]
    fn so_does_one_that_is_taken_for_udp_alone() {
        for shared in [false, true] {
            let taken = udp(&any_port(), shared).unwrap();
            let address = taken.local_addr().unwrap();
            // Somebody may have the port for TCP; then there is nothing to see.
            let Ok(bound) = bind(&[listener(address, false)], 2) else {
                continue;
            };
            drop(bound);
            let text = text(listener(address, true));
            assert!(text.contains("nobody listens"), "{text}");
        }
    }

    #[test]
    fn udp_sockets_are_told_by_listener_and_worker() {
        let listeners = [true, false, true].map(|http3| listener(any_port(), http3));
        let bound = bind(&listeners, 3).unwrap();
        let udp = bound.udp().unwrap();
        let addresses: Vec<Vec<_>> = udp
            .iter()
            .map(|of_listener| {
                of_listener
                    .iter()
                    .map(|one| one.local_addr().unwrap())
                    .collect()
            })
            .collect();
        let [first, _, third] = bound.addresses[..] else {
            panic!("{bound:?}");
        };
        assert_eq!(addresses, [[first; 3], [third; 3]]);
    }

    #[test]
    fn workers_share_one_port() {
        for http3 in [false, true] {
            let (address, sockets) = bind_one(&any_port(), http3, 3).unwrap();
            assert_ne!(address.port(), 0);
            assert_eq!(sockets.len(), 3);
            for Sockets { tcp, udp } in sockets {
                assert_eq!(tcp.local_addr().unwrap(), address);
                assert_eq!(udp.is_some(), http3);
                assert!(udp.is_none_or(|udp| udp.local_addr().unwrap() == address));
            }
        }
    }
}
