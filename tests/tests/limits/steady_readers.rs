//! Readers that take what they take steadily. Their TCP does not: once the receive buffer is full
//! it lets nothing come until a good part is free, and then much at once.

use std::io::{self, ErrorKind, Read as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use gateway_tests::harness::{ALICE, Backend, Client, Gateway, Request, Setup, poll};
use socket2::{Domain, Socket, Type};

use crate::slow_readers::{SLOW, flood};

/// Three times the rate is enough, however large the steps.
#[test]
fn a_steady_reader_is_not_slow_whatever_its_buffer() {
    let (backend, _) = flooding();
    let gateway = limited(&backend, RATE, "5m");
    let buffers = [Some(4096), Some(16_384), Some(65_536), Some(262_144), None];
    let readers = buffers.map(|buffer| {
        let mut reader = Reader::begin(&gateway, buffer);
        std::thread::spawn(move || reader.take(3 * RATE, Duration::from_secs(8)))
    });
    for (reader, buffer) in readers.into_iter().zip(buffers) {
        let taken = reader.join().unwrap();
        assert!(taken.is_ok(), "{buffer:?}: {taken:?}");
    }
    assert_eq!(gateway.metrics().sum(SLOW, &[]), 0.0);
}

/// The gateway's send buffer takes nothing for longer than silence may last, and TCP carries
/// something all the while.
#[test]
fn what_tcp_carries_is_not_silent() {
    let (backend, _) = flooding();
    let gateway = limited(&backend, 1000, "1s");
    let mut reader = Reader::begin(&gateway, Some(4096));
    let taken = reader.take(10_000, Duration::from_secs(8));
    taken.expect("it is not cut");
}

/// What was taken before counts, but no longer than silence may last.
#[test]
fn half_the_rate_is_too_slow_once_nothing_is_left_in_advance() {
    let (backend, _) = flooding();
    let gateway = limited(&backend, RATE, "2s");
    let mut reader = Reader::begin(&gateway, Some(4096));
    reader.take_at_once(MINUTES);
    let begun = Instant::now();
    let taken = reader.take(RATE / 2, poll::patience());
    taken.expect_err("it is cut");
    assert!(begun.elapsed() > MOST_OF_SILENCE, "{:?}", begun.elapsed());
    gateway.counted(SLOW, &[("direction", "out")], 1.0);
}

#[test]
fn who_stands_still_is_cut_whatever_it_took_before() {
    let (backend, ended) = flooding();
    let gateway = limited(&backend, RATE, "2s");
    for (cut, buffer) in [Some(4096), None].into_iter().enumerate() {
        let mut reader = Reader::begin(&gateway, buffer);
        reader.take_at_once(MINUTES);
        let begun = Instant::now();
        poll::until("it is cut", || {
            (ended.load(Ordering::SeqCst) > cut).then_some(())
        });
        assert!(begun.elapsed() > MOST_OF_SILENCE, "{:?}", begun.elapsed());
    }
}

/// A back-end that sends without end, and how many of its answers have ended all the same.
fn flooding() -> (Backend, Arc<AtomicUsize>) {
    let ended = Arc::<AtomicUsize>::default();
    let backend = Backend::scripted({
        let ended = Arc::clone(&ended);
        move |conn| {
            if flood(conn) {
                ended.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (backend, ended)
}

fn limited(backend: &Backend, rate: u64, silence: &str) -> Gateway {
    Setup::connect(backend)
        .line("limits", &format!("body_rate = {rate}"))
        .line("limits", "body_window = \"300ms\"")
        .line("timeouts", &format!("body = \"{silence}\""))
        .start()
}

/// A client that takes what TCP has for it, below TLS.
struct Reader {
    tcp: TcpStream,
    /// Holds the connection.
    _client: Client,
}

impl Reader {
    /// Asks for a flood, with a receive buffer of twice that size (socket(7)), or as it comes.
    fn begin(gateway: &Gateway, buffer: Option<usize>) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if let Some(buffer) = buffer {
            socket.set_recv_buffer_size(buffer).unwrap();
        }
        // Ethernet's; loopback's own is as large as some of the buffers.
        socket.set_tcp_mss(1460).unwrap();
        socket.connect(&gateway.address().into()).unwrap();
        let tcp = TcpStream::from(socket);
        tcp.set_read_timeout(Some(poll::patience())).unwrap();
        let mut client = gateway.client_over(tcp.try_clone().unwrap());
        client.send(&Request::get("/flood").by(&ALICE).bytes());
        Self {
            tcp,
            _client: client,
        }
    }

    /// Takes so many bytes a second for so long, unless it is cut.
    fn take(&mut self, rate: u64, during: Duration) -> io::Result<()> {
        let begun = Instant::now();
        let mut taken = 0;
        while begun.elapsed() < during {
            let due = u128::from(rate) * begun.elapsed().as_millis() / 1000;
            taken += self.read(usize::try_from(due).unwrap() - taken)?;
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    #[track_caller]
    fn take_at_once(&mut self, bytes: usize) {
        let mut taken = 0;
        while taken < bytes {
            taken += self.read(65_536).expect("it is not cut");
        }
    }

    fn read(&mut self, most: usize) -> io::Result<usize> {
        if most == 0 {
            return Ok(0);
        }
        match self.tcp.read(&mut vec![0; most])? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

/// Bytes a second.
const RATE: u64 = 50_000;

/// What the rate would need longer for than any test waits.
const MINUTES: usize = 10_000_000;

/// Of two seconds, less a window.
const MOST_OF_SILENCE: Duration = Duration::from_millis(1600);
