//! What a socket is that somebody hands over.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;

use gateway_ebpf::abi::Endpoint;
use rustix::net::sockopt::{
    socket_cookie, socket_domain, socket_protocol, socket_reuseport, socket_type,
};
use rustix::net::{AddressFamily, SocketType, getsockname, ipproto};

use crate::sockopt::namespace_cookie;
use crate::tables::octets;

/// The address that sockets are bound to, as the program has it. IPv4 and IPv6 are apart: a socket of
/// IPv6's on every address is `::`, one of IPv4's has the v4-mapped form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(Endpoint);

/// What is asked of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) address: Address,
    /// By which the kernel knows it.
    pub(super) cookie: u64,
    /// The cookie of its network namespace.
    pub(super) namespace: u64,
}

impl Address {
    /// From the map.
    pub(super) fn of(key: Endpoint) -> Self {
        Self(key)
    }

    /// As the key of the map.
    pub(super) fn key(&self) -> [u8; Endpoint::SIZE] {
        self.0.to_bytes()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from(self.0.address).to_canonical();
        SocketAddr::new(address, self.0.port).fmt(f)
    }
}

/// Looks at a socket. The error says what it should be.
pub(super) fn facts(socket: BorrowedFd<'_>) -> Result<Facts, &'static str> {
    let is_udp = || {
        let family = socket_domain(socket)?;
        let protocol = socket_protocol(socket)?;
        rustix::io::Result::Ok(
            matches!(family, AddressFamily::INET | AddressFamily::INET6)
                && socket_type(socket)? == SocketType::DGRAM
                && protocol == Some(ipproto::UDP),
        )
    };
    if is_udp() != Ok(true) {
        return Err("a socket of UDP");
    }
    if socket_reuseport(socket) != Ok(true) {
        return Err("SO_REUSEPORT, set before it was bound");
    }
    let local = getsockname(socket).ok();
    let local = local.and_then(|local| SocketAddr::try_from(local).ok());
    let Some(local) = local.filter(|local| local.port() != 0) else {
        return Err("one that is bound");
    };
    let cookies = socket_cookie(socket)
        .ok()
        .zip(namespace_cookie(socket).ok());
    let Some((cookie, namespace)) = cookies else {
        return Err("a kernel that tells the cookies of sockets (Linux 5.14)");
    };
    Ok(Facts {
        address: Address(Endpoint {
            address: octets(local.ip()),
            port: local.port(),
            padding: 0,
        }),
        cookie,
        namespace,
    })
}
