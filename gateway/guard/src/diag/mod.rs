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

/// The sockets at a protected local endpoint. As for `ingress`, its address matters only until a
/// connection meets the service: what the service itself holds at the port is at it on every
/// address.
pub(crate) struct Receivers<'a> {
    /// `None`: every address.
    pub(crate) address: Option<IpAddr>,
    /// The port; not 0.
    pub(crate) port: u16,
    /// The service's cgroup and those below it.
    pub(crate) cgroups: &'a HashSet<u64>,
    /// Whom the service's sockets belong to; `None`: anybody.
    pub(crate) uid: Option<u32>,
}

/// Destroys, in this thread's namespace, both ends of the connections to a local endpoint whose
/// other end is not kept, and what has the addresses of a kept one without being it. Returns how many
/// sockets; an end that dies of the other's reset does not count. What the service has received but
/// not read, it can still read.
///
/// `Unsupported` means that the kernel cannot do it. Needs CAP_NET_ADMIN.
pub(crate) fn cut_local(receivers: &Receivers<'_>, kept: &Kept<'_>) -> io::Result<u64> {
    let mut kernel = Connection::open()?;
    let port = receivers.port;
    let near = kernel.list(port, 0)?;
    // Asked for later: an end that connects is older than the one that accepts.
    let mut far: HashMap<_, Vec<Socket>> = HashMap::new();
    for socket in kernel.list(0, port)? {
        let ends = (socket.local, socket.remote);
        far.entry(ends).or_default().push(socket);
    }
    let mut destroyed = 0;
    for socket in near {
        if !receivers.include(&socket) {
            continue;
        }
        let peers = peers(&mut kernel, &far, &socket)?;
        let stays = kept.connection(&socket, &peers);
        // Beside a kept one, another can only be left over from an earlier connection; if not, the
        // reset that it sends ends this one.
        let foreign = peers.iter().filter(|peer| !stays || !kept.owner(peer));
        for end in foreign.chain((!stays).then_some(&socket)) {
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

impl Receivers<'_> {
    fn include(&self, socket: &Socket) -> bool {
        let ip = socket.local.ip();
        let is_address = |address: IpAddr| address.to_canonical() == ip;
        self.address.is_none_or(is_address) || self.is_service(socket)
    }

    fn is_service(&self, socket: &Socket) -> bool {
        // The user of a connection that nobody has accepted is not always known.
        let is_user = |uid| uid == socket.uid || !socket.held;
        let is_there = |cgroup| self.cgroups.contains(&cgroup);
        socket.cgroup.is_some_and(is_there) && self.uid.is_none_or(is_user)
    }
}

impl Kept<'_> {
    /// Whether a connection may stay that the service holds at one end, and these local sockets at
    /// the other. Anybody can make a socket with the addresses of the gateway's, and the gateway's
    /// connection must not be cut for that; but as long as it is not complete, nobody can say which
    /// of them has begun it.
    fn connection(&self, service: &Socket, peers: &[Socket]) -> bool {
        let peer = service.remote.ip();
        if peers.is_empty() {
            return !peer.is_loopback() && (self.listed)(peer);
        }
        let mut owners = peers.iter().map(|peer| self.owner(peer));
        match service.opens {
            true => owners.all(|is_kept| is_kept),
            false => owners.any(|is_kept| is_kept),
        }
    }

    fn owner(&self, socket: &Socket) -> bool {
        socket
            .cgroup
            .is_some_and(|cgroup| self.cgroups.contains(&cgroup))
            || self.uids.contains(&socket.uid)
    }
}

/// The sockets here that may be the other end of a connection: one, or several that are bound to
/// interfaces, or none. One that only tries to connect is none, unless the connection is not complete
/// on this side either.
fn peers(
    kernel: &mut Connection,
    far: &HashMap<(SocketAddr, SocketAddr), Vec<Socket>>,
    socket: &Socket,
) -> io::Result<Vec<Socket>> {
    let may_be = |peer: &Socket| socket.opens || !peer.opens;
    let listed = far.get(&(socket.remote, socket.local)).into_iter();
    let listed: Vec<_> = listed.flatten().copied().filter(may_be).collect();
    if !listed.is_empty() {
        return Ok(listed);
    }
    // A list may lack a socket, and nobody may be cut for that.
    let found = kernel.find(socket.remote, socket.local)?;
    Ok(found.into_iter().filter(may_be).collect())
}

#[cfg(test)]
mod tests;
