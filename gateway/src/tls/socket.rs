//! A TCP socket whose end can be waited for while bytes lie unread before it.

use std::cell::Cell;
use std::io::{self, IoSlice, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::poll_proceed;

/// A [`TcpStream`] with [`Socket::poll_ended`].
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    /// tokio was made to forget that there may be bytes to read: the kernel is asked first.
    forgotten: Cell<bool>,
}

impl Socket {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            forgotten: Cell::new(false),
        }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Ready once the peer has ended its direction or the connection is gone, even if bytes before
    /// that are unread; they stay so. May be given up at any time.
    ///
    /// Each arrival of bytes wakes the task once, so as often as the kernel has room for them. When
    /// it has none, it refuses a FIN, too (RFC 9293 §3.10.7.4); a reset it always takes.
    pub(super) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        // That bytes can be read is a state: to wait for it is to spin. So it is cleared, and the
        // next event is waited for. An end is final, and never cleared: if there is anything to
        // read after this, it is the end.
        self.forgotten.set(true);
        let _would_block: io::Result<()> = self
            .tcp
            .try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
        // An error is the end of the runtime.
        self.tcp.poll_read_ready(cx).map(drop)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if socket.forgotten.get() {
            // As tokio does it: else a peer that sends without end would keep the task from ending
            // its turn.
            let turn = ready!(poll_proceed(cx));
            match (&*SockRef::from(&socket.tcp)).read(buf.initialize_unfilled()) {
                // From here on, what arrives is an event.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    socket.forgotten.set(false);
                }
                read => {
                    turn.made_progress();
                    return Poll::Ready(read.map(|count| buf.advance(count)));
                }
            }
        }
        Pin::new(&mut socket.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write as _;
    use std::net::{Shutdown, TcpListener};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;
    use tokio::time::timeout;

    use super::*;

    /// Runs a test with a peer that has sent some bytes, of which a few are read already.
    fn with<F: Future<Output = ()>>(test: impl FnOnce(std::net::TcpStream, Socket) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            peer.write_all(&[7; SENT]).unwrap();
            let (tcp, _) = listener.accept().unwrap();
            tcp.set_nonblocking(true).unwrap();
            let mut socket = Socket::new(TcpStream::from_std(tcp).unwrap());
            socket.read_exact(&mut [0; 100]).await.unwrap();
            test(peer, socket).await;
        });
    }

    async fn ended(socket: &Socket) {
        let ended = poll_fn(|cx| socket.poll_ended(cx));
        timeout(PATIENCE, ended).await.expect("the end is seen");
    }

    #[test]
    fn an_end_is_seen_behind_unread_bytes() {
        with(|peer, mut socket| async move {
            peer.shutdown(Shutdown::Write).unwrap();
            ended(&socket).await;
            // Nothing is lost by it, and the end stays one.
            ended(&socket).await;
            let mut rest = Vec::new();
            socket.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, [7; SENT - 100]);
        });
    }

    #[test]
    fn a_reset_is_seen_behind_unread_bytes() {
        with(|peer, socket| async move {
            SockRef::from(&peer)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            drop(peer);
            ended(&socket).await;
        });
    }

    #[test]
    fn who_lives_is_waited_for_without_work_and_loses_nothing() {
        with(|mut peer, mut socket| async move {
            let wakes = Arc::<Wakes>::default();
            let waker = Waker::from(Arc::clone(&wakes));
            for more in 0..3 {
                let polled = socket.poll_ended(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
                // Many turns of the driver: what lies unread wakes nobody.
                for _ in 0..10 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                assert_eq!(wakes.0.load(Ordering::SeqCst), more);
                peer.write_all(&[8]).unwrap();
                let woken = async {
                    while wakes.0.load(Ordering::SeqCst) == more {
                        tokio::task::yield_now().await;
                    }
                };
                timeout(PATIENCE, woken).await.expect("an arrival wakes");
            }
            // What came while it was waited for, although no event tells of it any more, and what
            // comes later.
            let polled = socket.poll_ended(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            let mut rest = vec![0; SENT - 100 + 3];
            let read = socket.read_exact(&mut rest);
            timeout(PATIENCE, read).await.expect("it is there").unwrap();
            assert_eq!(rest.split_off(SENT - 100), [8; 3]);
            let mut late = [0; 4];
            let later = async {
                tokio::task::yield_now().await;
                peer.write_all(b"late").unwrap();
            };
            let read = async { tokio::join!(socket.read_exact(&mut late), later).0 };
            timeout(PATIENCE, read).await.expect("it comes").unwrap();
            assert_eq!(&late, b"late");
        });
    }

    #[test]
    fn who_sends_without_end_keeps_nobody_from_their_turn() {
        with(|peer, mut socket| async move {
            let flood = std::thread::spawn(move || {
                let mut peer = peer;
                while peer.write_all(&[9; 65_536]).is_ok() {}
            });
            let mut cx = Context::from_waker(Waker::noop());
            assert!(socket.poll_ended(&mut cx).is_pending());
            let mut reads = 0_u64;
            let reading = async {
                // So little at a time that there is always more.
                while socket.read(&mut [0; 16]).await.is_ok() {
                    reads += 1;
                    assert!(reads < 5_000, "its turn never ends");
                }
            };
            let turn = async {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                () = reading => panic!("it never ends"),
                () = turn => {}
            }
            assert!(reads >= 100, "{reads}");
            drop(socket);
            flood.join().unwrap();
        });
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    const SENT: usize = 10_000;

    /// Generous: it only costs time when a test fails.
    const PATIENCE: Duration = Duration::from_secs(20);
}
