//! quinn's socket on a worker, with its system calls counted and its datagrams apart.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};

use super::apart::Apart;
use crate::telemetry::Cells;

/// What quinn runs on: the worker's tokio.
pub(super) struct OnWorker {
    cells: Arc<Cells>,
    listener: usize,
}

impl OnWorker {
    /// For a listener, by its index; only the worker that these cells belong to may use it.
    pub(super) fn new(cells: Arc<Cells>, listener: usize) -> Self {
        Self { cells, listener }
    }
}

impl Runtime for OnWorker {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        TokioRuntime.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(Arc::new(Counted {
            socket: TokioRuntime.wrap_udp_socket(socket)?,
            apart: Mutex::new(Apart::new()),
            cells: Arc::clone(&self.cells),
            listener: self.listener,
        }))
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

impl fmt::Debug for OnWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnWorker({})", self.listener)
    }
}

#[derive(Debug)]
struct Counted {
    socket: Arc<dyn AsyncUdpSocket>,
    apart: Mutex<Apart>,
    cells: Arc<Cells>,
    listener: usize,
}

impl AsyncUdpSocket for Counted {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)?;
        if let Some(cells) = self.cells.http3(self.listener) {
            let length = transmit.contents.len();
            cells.sent(datagrams(length, transmit.segment_size.unwrap_or(length)));
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        // Nobody else has it: quinn asks from the endpoint's one driver.
        let mut apart = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        apart.receive(buffers, meta, |buffers, meta| {
            let polled = self.socket.poll_recv(cx, buffers, meta);
            if let Poll::Ready(Ok(messages)) = polled
                && let Some(cells) = self.cells.http3(self.listener)
            {
                let messages = meta.iter().take(messages);
                cells.received(messages.map(|one| datagrams(one.len, one.stride)).sum());
            }
            polled
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        1
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

/// How many datagrams lie in so many bytes, the last of which may be shorter.
fn datagrams(length: usize, each: usize) -> u64 {
    length.div_ceil(each.max(1)) as u64
}

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
