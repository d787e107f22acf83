//! A client's UDP socket, whose datagrams are counted.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use anyhow::Context as _;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};

use crate::order::Datagrams;

/// Datagrams of some sockets.
#[derive(Debug, Default)]
pub(super) struct Count {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Count {
    pub(super) fn so_far(&self) -> Datagrams {
        Datagrams {
            sent: self.sent.load(Relaxed),
            received: self.received.load(Relaxed),
        }
    }
}

/// A socket of quinn's, and who counts.
#[derive(Debug)]
pub(super) struct Counted {
    socket: Arc<dyn AsyncUdpSocket>,
    count: Arc<Count>,
}

impl Counted {
    /// A socket on the unspecified address of `server`'s family, with room for what may be on its
    /// way. To be called in a runtime of tokio's.
    pub(super) fn bind(server: IpAddr, count: Arc<Count>) -> anyhow::Result<Self> {
        let any = match server {
            IpAddr::V4(_) => "0.0.0.0:0",
            IpAddr::V6(_) => "[::]:0",
        };
        let socket = UdpSocket::bind(any).context("no socket")?;
        if set_socket_recv_buffer_size_force(&socket, BUFFER).is_err() {
            // Only root may have more than net.core.rmem_max says; the kernel takes that then.
            set_socket_recv_buffer_size(&socket, BUFFER).context("no room to receive")?;
        }
        Ok(Self {
            socket: TokioRuntime.wrap_udp_socket(socket).context("no socket")?,
            count,
        })
    }
}

impl AsyncUdpSocket for Counted {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)?;
        let length = transmit.contents.len();
        let sent = datagrams(length, transmit.segment_size.unwrap_or(length));
        self.count.sent.fetch_add(sent, Relaxed);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let polled = self.socket.poll_recv(cx, buffers, meta);
        if let Poll::Ready(Ok(messages)) = polled {
            let messages = meta.iter().take(messages);
            let received = messages.map(|one| datagrams(one.len, one.stride)).sum();
            self.count.received.fetch_add(received, Relaxed);
        }
        polled
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

/// How many datagrams lie in so many bytes, the last of which may be shorter.
fn datagrams(length: usize, each: usize) -> u64 {
    length.div_ceil(each.max(1)) as u64
}

/// In bytes, of which the kernel takes a good part for itself.
const BUFFER: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_datagram_may_be_shorter() {
        for (length, each, expected) in
            [(1200, 1200, 1), (3600, 1200, 3), (2401, 1200, 3), (0, 0, 0)]
        {
            assert_eq!(datagrams(length, each), expected, "{length}, {each}");
        }
    }
}
