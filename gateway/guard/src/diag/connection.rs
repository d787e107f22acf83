//! The conversation with the kernel about sockets.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::message::{self, Family, Reply, Socket};

/// Knows the sockets of the namespace in which it was opened.
pub(super) struct Connection {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn open() -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )?;
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        // Connected to the kernel, which is 0, nobody else can write to it.
        rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// The connected sockets with these ports, of which 0 means any. While sockets come and go,
    /// one may be missing or be there twice.
    pub(super) fn list(&mut self, local: u16, remote: u16) -> io::Result<Vec<Socket>> {
        let mut sockets = Vec::new();
        for family in [Family::V4, Family::V6] {
            self.send(|sequence| message::list(sequence, family, local, remote))?;
            self.receive_list(&mut sockets)?;
        }
        Ok(sockets)
    }

    /// The connected socket with these addresses that is bound to no interface.
    pub(super) fn find(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> io::Result<Option<Socket>> {
        self.send(|sequence| message::find(sequence, local, remote))?;
        match self.receive()?[..] {
            [Reply::Socket(socket)] => Ok((!socket.listens).then_some(socket)),
            [Reply::End(number)] if is_gone(number) => Ok(None),
            [Reply::End(number)] if number != 0 => Err(io::Error::from_raw_os_error(number)),
            _ => Err(unexpected()),
        }
    }

    /// Ends a connection at once; its process finds ECONNABORTED, its peer a reset. False if it
    /// has ended already, of which not every kernel can take the memory away.
    pub(super) fn destroy(&mut self, socket: &Socket) -> io::Result<bool> {
        if socket.remnant {
            return Ok(false);
        }
        self.send(|sequence| message::destroy(sequence, socket))?;
        match self.receive()?[..] {
            [Reply::End(0)] => Ok(true),
            [Reply::End(number)] if is_gone(number) => Ok(false),
            // Older kernels say so too of a socket that has become a remnant meanwhile.
            [Reply::End(number)] if is_unsupported(number) => self.check().map(|()| false),
            [Reply::End(number)] => Err(cannot_destroy(number)),
            _ => Err(unexpected()),
        }
    }

    /// Whether this kernel can list and destroy: an error otherwise.
    pub(super) fn check(&mut self) -> io::Result<()> {
        self.send(message::list_nothing)?;
        self.receive_list(&mut Vec::new())?;
        self.send(message::destroy_nothing)?;
        match self.receive()?[..] {
            [Reply::End(number)] if is_gone(number) => Ok(()),
            [Reply::End(number)] if number != 0 => Err(cannot_destroy(number)),
            _ => Err(unexpected()),
        }
    }

    fn send(&mut self, request: impl FnOnce(u32) -> [u8; message::REQUEST]) -> io::Result<()> {
        self.sequence += 1;
        let request = request(self.sequence);
        rustix::io::retry_on_intr(|| {
            rustix::net::send(&self.socket, &request, SendFlags::empty())
        })?;
        Ok(())
    }

    fn receive_list(&mut self, sockets: &mut Vec<Socket>) -> io::Result<()> {
        loop {
            for reply in self.receive()? {
                match reply {
                    Reply::Socket(_) if sockets.len() == MAX_SOCKETS => {
                        return Err(io::Error::other(format!(
                            "more than {MAX_SOCKETS} sockets on one port"
                        )));
                    }
                    Reply::Socket(socket) => sockets.push(socket),
                    Reply::End(0) => return Ok(()),
                    Reply::End(number) => return Err(cannot_list(number)),
                }
            }
        }
    }

    /// The replies of one receive call: at least one.
    fn receive(&mut self) -> io::Result<Vec<Reply>> {
        let (_, length) = rustix::io::retry_on_intr(|| {
            rustix::net::recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC)
        })?;
        let datagram = self.buffer.get(..length).ok_or_else(unexpected)?;
        let replies = message::replies(datagram, self.sequence)?;
        if replies.is_empty() {
            return Err(unexpected());
        }
        Ok(replies)
    }
}

/// Whether a socket is not there any more, though another may have its addresses.
fn is_gone(number: i32) -> bool {
    number == Errno::NOENT.raw_os_error()
}

fn is_unsupported(number: i32) -> bool {
    number == Errno::OPNOTSUPP.raw_os_error()
}

fn cannot_destroy(number: i32) -> io::Error {
    if is_unsupported(number) {
        return io::Error::new(
            io::ErrorKind::Unsupported,
            "the kernel cannot destroy sockets: it was built without CONFIG_INET_DIAG_DESTROY",
        );
    }
    let error = io::Error::from_raw_os_error(number);
    io::Error::new(error.kind(), format!("cannot destroy a socket: {error}"))
}

fn cannot_list(number: i32) -> io::Error {
    if number == Errno::NOENT.raw_os_error() {
        return io::Error::new(
            io::ErrorKind::Unsupported,
            "the kernel cannot list TCP sockets: it has no tcp_diag (CONFIG_INET_TCP_DIAG)",
        );
    }
    let error = io::Error::from_raw_os_error(number);
    io::Error::new(error.kind(), format!("cannot list sockets: {error}"))
}

fn unexpected() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the kernel answers a question about sockets with something else",
    )
}

/// How long a reply may take. It is written while the request is sent; no reply is a fault.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest piece in which the kernel sends a list (`netlink_recvmsg` in net/netlink).
const BUFFER: usize = 32 * 1024;

/// More than a host can bear on one port: some 100 bytes each here, 2 KiB each in the kernel.
const MAX_SOCKETS: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_what_is_missing() {
        let error = cannot_destroy(Errno::OPNOTSUPP.raw_os_error());
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("CONFIG_INET_DIAG_DESTROY"));
        let error = cannot_destroy(Errno::PERM.raw_os_error());
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        let error = cannot_list(Errno::NOENT.raw_os_error());
        assert!(error.to_string().contains("CONFIG_INET_TCP_DIAG"));
    }

    #[test]
    fn a_socket_without_peer_is_not_found() {
        let mut kernel = Connection::open().unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let nobody = "127.0.0.9:9".parse().unwrap();
        assert_eq!(kernel.find(address, nobody).unwrap(), None);
        // A listener with the address is not what was asked for.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(kernel.find(address, nobody).unwrap(), None);
        let client = std::net::TcpStream::connect(address).unwrap();
        let found = kernel.find(address, client.local_addr().unwrap());
        assert_eq!(found.unwrap().unwrap().local, address);
    }
}
