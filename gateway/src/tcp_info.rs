//! What the kernel has exchanged with a peer: the one socket option that has no safe call.

#![allow(unsafe_code, reason = "no crate wraps TCP_INFO in a safe function")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// Payload bytes of a TCP connection, TLS included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// That arrived from the peer, read by us or not.
    pub(crate) received: u64,
    /// That the peer acknowledged: what lies in our send buffer does not count.
    pub(crate) taken: u64,
}

/// What a connection has exchanged so far (`TCP_INFO`, tcp(7); these fields since Linux 4.1).
pub(crate) fn traffic(socket: impl AsFd) -> io::Result<Traffic> {
    #[cfg(test)]
    if let Some(traffic) = crate::simulation::traffic(socket.as_fd()) {
        return Ok(traffic);
    }
    let mut info = [0_u8; LENGTH];
    let mut length = LENGTH as libc::socklen_t;
    // SAFETY: the pointers are to live variables of this function, the second tells the size of
    // the first's, and the kernel writes no more than that. The descriptor is open: it is borrowed.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    match info.as_chunks::<8>().0 {
        [.., taken, received] if length as usize == LENGTH => Ok(Traffic {
            received: u64::from_ne_bytes(*received),
            taken: u64::from_ne_bytes(*taken),
        }),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// `struct tcp_info` of linux/tcp.h up to and with `tcpi_bytes_acked` and `tcpi_bytes_received`:
/// 8 bytes, 24 words of 32 bits and 4 of 64, which never move.
const LENGTH: usize = 8 + 24 * 4 + 4 * 8;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn both_directions_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.write_all(&[1; 1000]).unwrap();
        far.read_exact(&mut [0; 1000]).unwrap();
        far.write_all(&[2; 30]).unwrap();
        near.read_exact(&mut [0; 30]).unwrap();
        // What was answered was acknowledged: the answer carried that.
        let traffic = traffic(&near).unwrap();
        assert_eq!(traffic.received, 30);
        // The acknowledgement of the SYN counts as one.
        assert!((1000..=1001).contains(&traffic.taken), "{traffic:?}");
    }

    #[test]
    fn what_the_peer_leaves_unread_is_not_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = near.write(&[0; 65_536]) {
            written += count as u64;
        }
        assert!(traffic(&near).unwrap().taken < written);
        drop(far);
    }
}
