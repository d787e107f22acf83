//! The kernel's list of TCP sockets (sock_diag(7)), and the end of those that must not be.

mod connection;
mod message;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};

use connection::Connection;
use message::Socket;

/// Which connections of a protected local endpoint, or to a remote one, may stay.
pub(crate) struct Kept<'a> {
    /// Cgroups whose sockets may be at the other end.
    pub(crate) cgroups: &'a HashSet<u64>,
    /// Users whose sockets may.
    pub(crate) uids: &'a [u32],
    /// Whether a peer elsewhere may.
    pub(crate) listed: &'a (dyn Fn(IpAddr) -> bool + Sync),
}

/// Destroys, in this thread's namespace, both ends of the connections to a local endpoint whose
/// other end is not kept. `address` `None` means every address. Returns how many sockets; an end
/// that dies of the other's reset does not count. What the service has received but not read, it
/// can still read.
///
/// `Unsupported` means that the kernel cannot do it. Needs CAP_NET_ADMIN.
pub(crate) fn cut_local(address: Option<IpAddr>, port: u16, kept: &Kept<'_>) -> io::Result<u64> {
    let mut kernel = Connection::open()?;
    let address = address.map(|address| address.to_canonical());
    let near = kernel.list(port, 0)?;
    // Asked for later: an end that connects is older than the one that accepts.
    let mut far: HashMap<_, Vec<Socket>> = HashMap::new();
    for socket in kernel.list(0, port)? {
        let ends = (socket.local, socket.remote);
        far.entry(ends).or_default().push(socket);
    }
    let mut destroyed = 0;
    for socket in near {
        if address.is_some_and(|address| address != socket.local.ip()) {
            continue;
        }
        let peers = peers(&mut kernel, &far, &socket)?;
        if kept.connection(&socket, &peers) {
            continue;
        }
        for end in peers.iter().chain([&socket]) {
            destroyed += u64::from(kernel.destroy(end)?);
        }
    }
    Ok(destroyed)
}

/// Destroys, in this thread's namespace, the sockets connected to a remote endpoint that belong to
/// no kept cgroup. Returns how many. Errors as [`cut_local`].
pub(crate) fn cut_remote(endpoint: SocketAddr, kept: &Kept<'_>) -> io::Result<u64> {
    let mut kernel = Connection::open()?;
    let endpoint = SocketAddr::new(endpoint.ip().to_canonical(), endpoint.port());
    let mut destroyed = 0;
    for socket in kernel.list(0, endpoint.port())? {
        if socket.remote == endpoint && !kept.owner(&socket) {
            destroyed += u64::from(kernel.destroy(&socket)?);
        }
    }
    Ok(destroyed)
}

/// Whether this kernel can list and destroy sockets; an error says what is missing.
pub(crate) fn check() -> io::Result<()> {
    Connection::open()?.check()
}

impl Kept<'_> {
    /// Whether a connection may stay that the service holds at one end, and these local sockets at
    /// the other.
    fn connection(&self, service: &Socket, peers: &[Socket]) -> bool {
        let peer = service.remote.ip();
        if peers.is_empty() {
            return !peer.is_loopback() && (self.listed)(peer);
        }
        peers.iter().all(|peer| self.owner(peer))
    }

    fn owner(&self, socket: &Socket) -> bool {
        socket
            .cgroup
            .is_some_and(|cgroup| self.cgroups.contains(&cgroup))
            || self.uids.contains(&socket.uid)
    }
}

/// The sockets here at the other end of a connection: one, or several that are bound to
/// interfaces, or none.
fn peers(
    kernel: &mut Connection,
    far: &HashMap<(SocketAddr, SocketAddr), Vec<Socket>>,
    socket: &Socket,
) -> io::Result<Vec<Socket>> {
    if let Some(listed) = far.get(&(socket.remote, socket.local)) {
        return Ok(listed.clone());
    }
    // A list may lack a socket, and nobody may be cut for that.
    Ok(kernel
        .find(socket.remote, socket.local)?
        .into_iter()
        .collect())
}

#[cfg(test)]
mod tests;
