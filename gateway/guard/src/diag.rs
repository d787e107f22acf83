//! The kernel's list of TCP sockets (sock_diag(7)), and the end of those that must not be.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Which connections of a protected local endpoint, or to a remote one, may stay.
pub(crate) struct Kept<'a> {
    /// Cgroups whose sockets may be at the other end.
    pub(crate) cgroups: &'a HashSet<u64>,
    /// Whether a peer elsewhere may.
    pub(crate) listed: &'a dyn Fn(IpAddr) -> bool,
}

/// Destroys, in this thread's namespace, both ends of the connections to a local endpoint whose
/// other end is not kept. `address` `None` means every address. Returns how many sockets.
pub(crate) fn cut_local(
    address: Option<IpAddr>,
    port: u16,
    kept: &Kept<'_>,
) -> io::Result<u64> {
    let _ = (address, port, kept);
    todo!()
}

/// Destroys, in this thread's namespace, the sockets connected to a remote endpoint that belong to
/// no kept cgroup. Returns how many.
pub(crate) fn cut_remote(endpoint: SocketAddr, kept: &Kept<'_>) -> io::Result<u64> {
    let _ = (endpoint, kept);
    todo!()
}
