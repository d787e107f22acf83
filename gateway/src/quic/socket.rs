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
    use std::future::poll_fn;
    use std::net::UdpSocket;

    use super::*;
    use crate::telemetry::{Labels, Telemetry};

    /// quinn keeps all that it is given in one piece for as long as any of it waits.
    #[tokio::test]
    async fn what_comes_together_is_given_apart() {
        let telemetry = Telemetry::new(&Labels {
            apps: &[],
            auth_causes: &[],
            listeners: &["public"],
            pools: &[],
        });
        let runtime = OnWorker::new(telemetry.worker(0), 0);
        let [ours, theirs] = [0; 2].map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            runtime.wrap_udp_socket(socket).unwrap()
        });
        let sent = [&[1; 1000][..], &[2; 1000], &[3; 500]].concat();
        let transmit = Transmit {
            destination: ours.local_addr().unwrap(),
            ecn: None,
            contents: &sent,
            segment_size: Some(1000),
            src_ip: None,
        };
        let mut poller = Arc::clone(&theirs).create_io_poller();
        poll_fn(|cx| poller.as_mut().poll_writable(cx))
            .await
            .unwrap();
        theirs.try_send(&transmit).unwrap();

        assert_eq!(ours.max_receive_segments(), 1);
        let mut memory = [[0; 4096]; 32];
        let mut got = Vec::new();
        while got.len() < 3 {
            let mut buffers = memory.each_mut().map(|one| IoSliceMut::new(one));
            let mut meta = [RecvMeta::default(); 32];
            let received = poll_fn(|cx| ours.poll_recv(cx, &mut buffers, &mut meta)).await;
            for (meta, bytes) in meta.iter().zip(&memory).take(received.unwrap()) {
                assert_eq!(meta.stride, meta.len);
                assert_eq!(meta.addr, theirs.local_addr().unwrap());
                got.push((bytes[0], meta.len));
            }
        }
        assert_eq!(got, [(1, 1000), (2, 1000), (3, 500)]);
    }

    #[test]
    fn the_last_datagram_may_be_shorter() {
        for (length, each, expected) in
            [(1200, 1200, 1), (3600, 1200, 3), (2401, 1200, 3), (0, 0, 0)]
        {
            assert_eq!(datagrams(length, each), expected, "{length}, {each}");
        }
    }
}
