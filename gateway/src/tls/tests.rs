//! What a transport promises, on both kinds of records.

mod tickets;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::path::PathBuf;
use std::task::Waker;
use std::thread;

use bytes::Bytes;
use config::{Certificate, Origin, TlsRecords};
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore};
use tokio::time::timeout;

use super::*;

#[test]
fn an_end_means_the_same_on_both_records() {
    const CUT: Result<usize, ErrorKind> = Err(ErrorKind::UnexpectedEof);
    const FORGED: Result<usize, ErrorKind> = Err(ErrorKind::InvalidData);
    for (name, expected) in [
        ("close_notify", Ok(0)),
        ("close_notify and more", Ok(0)),
        ("FIN", CUT),
        ("FIN within a record", CUT),
        ("FIN within a header", CUT),
        ("a tampered record", FORGED),
        ("plaintext", FORGED),
    ] {
        on_both(async |mut peer, transport| {
            peer.send(b"some");
            peer.send(b"thing");
            let last = match name {
                "close_notify" => peer.close_notify(),
                "close_notify and more" => [&peer.close_notify()[..], b"whatever"].concat(),
                "FIN within a record" => {
                    let mut record = peer.sealed(b"never whole");
                    record.pop();
                    record
                }
                "FIN within a header" => vec![23, 3],
                "a tampered record" => {
                    let mut record = peer.sealed(b"tampered");
                    record[7] ^= 1;
                    record
                }
                "plaintext" => b"GET / HTTP/1.1\r\n\r\n".to_vec(),
                _ => Vec::new(),
            };
            peer.tcp.write_all(&last).unwrap();
            peer.tcp.shutdown(Shutdown::Write).unwrap();
            let mut buffer = BytesMut::new();
            let mut end = read(&transport, &mut buffer).await;
            while end.is_ok_and(|count| count > 0) {
                end = read(&transport, &mut buffer).await;
            }
            assert_eq!(end, expected, "{name}");
            if end == FORGED {
                // Stock rustls tells of it before it hands out what came with it.
                assert!(b"something".starts_with(&buffer), "{name}");
            } else {
                assert_eq!(buffer, b"something"[..], "{name}");
                // And it stays so.
                assert_eq!(read(&transport, &mut buffer).await, expected, "{name}");
            }
        });
    }
}

#[test]
fn the_end_is_seen_behind_unread_records() {
    on_both(async |mut peer, transport| {
        let mut buffer = BytesMut::new();
        peer.send(b"one");
        assert_eq!(read(&transport, &mut buffer).await, Ok(3));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(transport.poll_ended(&mut cx).is_pending());
        peer.send(&[7; 100_000]);
        let end = peer.close_notify();
        peer.tcp.write_all(&end).unwrap();
        peer.tcp.shutdown(Shutdown::Write).unwrap();
        let ended = timeout(PATIENCE, transport.ended());
        ended.await.expect("the end is seen");
        while read(&transport, &mut buffer).await.unwrap() > 0 {}
        assert_eq!(buffer.len(), 100_003);
    });
}

#[test]
fn a_write_that_was_given_up_is_not_sealed_again() {
    on_both(async |mut peer, transport| {
        let payload: Vec<u8> = (0..8_000_000_u32).map(|at| (at / 7) as u8).collect();
        let payload = Bytes::from(payload);
        let mut out = Outgoing::default();
        let (head, body) = (payload.slice(..300), payload.slice(300..));
        out.push(head);
        out.push(body);
        let mut cx = Context::from_waker(Waker::noop());
        // Until neither the kernel nor we take more.
        loop {
            let before = out.remaining();
            let polled = pin!(transport.write_some(&mut out)).poll(&mut cx);
            if polled.is_pending() {
                assert_eq!(out.remaining(), before);
                break;
            }
        }
        assert!(pin!(transport.flush()).poll(&mut cx).is_pending());
        assert!(pin!(transport.shutdown()).poll(&mut cx).is_pending());
        let reader = thread::spawn(move || peer.read_to_end());
        // All that was taken arrives, once and in order, and then the end.
        let taken = payload.len() - out.remaining();
        transport.shutdown().await.unwrap();
        let read = reader.join().unwrap();
        assert!(read == payload[..taken], "{} of {taken}", read.len());
    });
}

/// Stock rustls says the same, but waits for more behind a fault.
#[test]
fn a_fault_is_told_behind_what_was_written_and_is_the_last() {
    on(TlsRecords::Own, async |mut peer, transport| {
        let payload = Bytes::from(vec![7; 8_000_000]);
        let mut out = Outgoing::default();
        out.push(payload);
        let mut cx = Context::from_waker(Waker::noop());
        while pin!(transport.write_some(&mut out))
            .poll(&mut cx)
            .is_ready()
        {}
        let taken = 8_000_000 - out.remaining();
        let mut record = peer.sealed(b"tampered");
        record[7] ^= 1;
        peer.tcp.write_all(&record).unwrap();
        let mut buffer = BytesMut::new();
        for _ in 0..2 {
            let read = read(&transport, &mut buffer).await;
            assert_eq!(read, Err(ErrorKind::InvalidData));
        }
        assert!(
            pin!(transport.write_some(&mut out))
                .poll(&mut cx)
                .is_pending()
        );
        let reader = thread::spawn(move || {
            let mut answer = Vec::new();
            peer.tcp.read_to_end(&mut answer).unwrap();
            (peer, answer)
        });
        let more = transport.write_some(&mut out).await;
        assert_eq!(more.unwrap_err().kind(), ErrorKind::BrokenPipe);
        transport.shutdown().await.unwrap();
        let (mut peer, mut answer) = reader.join().unwrap();
        // As long as each alert is here.
        let alert = answer.split_off(answer.len() - ALERT);
        assert_eq!(peer.told(&answer), Ok(taken));
        let heard = AlertDescription::BadRecordMac;
        assert_eq!(peer.told(&alert), Err(rustls::Error::AlertReceived(heard)));
    });
}

/// Else a client that sends little at a time makes us copy much each time.
#[test]
fn what_has_come_stays_where_it_is_while_more_is_read() {
    on_both(async |mut peer, transport| {
        let mut buffer = BytesMut::with_capacity(4096);
        peer.send(b"begin");
        assert_eq!(read(&transport, &mut buffer).await, Ok(5));
        buffer.reserve(1000);
        let place = buffer.as_ptr();
        for count in 0..500 {
            peer.send(&[count as u8]);
            assert_eq!(read(&transport, &mut buffer).await, Ok(1));
            assert_eq!(buffer.as_ptr(), place, "at {count}");
        }
    });
}

#[test]
fn who_waits_keeps_the_callers_memory() {
    on_both(async |mut peer, transport| {
        let mut buffer = BytesMut::with_capacity(4096);
        let place = buffer.as_ptr();
        for _ in 0..2 {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(transport.poll_read(&mut cx, &mut buffer).is_pending());
            assert_eq!((buffer.as_ptr(), buffer.capacity()), (place, 4096));
        }
        assert!(!transport.has_received());
        peer.send(b"x");
        assert_eq!(read(&transport, &mut buffer).await, Ok(1));
    });
}

/// Whatever of a record has come, and wherever: at most 4 KiB of it wait in memory of their own.
#[test]
fn who_waits_for_the_rest_of_a_record_keeps_the_callers_memory() {
    on(TlsRecords::Own, async |mut peer, transport| {
        let payload: Vec<u8> = (0..100_000_u32).map(|at| (at / 7) as u8).collect();
        let sizes = [1, 5000, 16_384, 300, 3000, 16_384].into_iter().cycle();
        let (mut rest, mut read) = (&payload[..], 0);
        for (turn, size) in sizes.enumerate() {
            let (part, behind) = rest.split_at(size.min(rest.len()));
            rest = behind;
            if part.is_empty() {
                break;
            }
            let record = peer.sealed(part);
            // Within its header, too.
            let pieces = [1, 3, 700, 3500, 9000, record.len()].map(|end| end.min(record.len()));
            let mut start = 0;
            for end in pieces {
                if start == end {
                    continue;
                }
                peer.tcp.write_all(&record[start..end]).unwrap();
                start = end;
                transport.arrived().await;
                let mut buffer = BytesMut::with_capacity(64 * 1024);
                // What is there already stays, before what comes.
                let held = turn % 2 * 10;
                buffer.extend_from_slice(&payload[..held]);
                let place = buffer.as_ptr();
                let mut cx = Context::from_waker(Waker::noop());
                while let Poll::Ready(count) = transport.poll_read(&mut cx, &mut buffer) {
                    let count = count.unwrap();
                    assert_eq!(buffer[..held], payload[..held]);
                    assert_eq!(buffer[held..], payload[read..read + count]);
                    assert_eq!(end, record.len());
                    read += count;
                    buffer.truncate(held);
                }
                let waits = end < record.len();
                assert_eq!(transport.has_received(), waits && end > 4096);
                if waits && end <= 4096 {
                    assert_eq!((buffer.as_ptr(), buffer.capacity()), (place, 64 * 1024));
                }
            }
        }
        assert_eq!(read, payload.len());
    });
}

#[test]
fn records_that_came_together_are_taken_without_the_kernel() {
    on(TlsRecords::Own, async |mut peer, transport| {
        let mut records = [peer.sealed(b"one"), peer.sealed(b"two"), peer.sealed(b"x")].concat();
        *records.last_mut().unwrap() ^= 1;
        peer.tcp.write_all(&records).unwrap();
        let mut buffer = BytesMut::with_capacity(4096);
        assert_eq!(read(&transport, &mut buffer).await, Ok(3));
        assert!(transport.has_received());
        // Only into nothing.
        assert!(!transport.take_received(&mut buffer));
        assert_eq!(&buffer.split()[..], b"one");
        assert!(transport.take_received(&mut buffer));
        assert_eq!(&buffer.split()[..], b"two");
        // A fault is the next read's.
        assert!(!transport.take_received(&mut buffer));
        let end = read(&transport, &mut buffer).await;
        assert_eq!(end, Err(ErrorKind::InvalidData));
        assert!(buffer.is_empty());
    });
}

/// A handshake may have taken much.
#[test]
fn what_came_behind_a_handshake_has_memory_of_its_size() {
    let talkative = |address, root| {
        let mut config = Peer::config(root);
        config.alpn_protocols = vec![vec![b'x'; 250]; 200];
        config.alpn_protocols.push(b"http/1.1".to_vec());
        Peer::by(config.into(), "localhost", address, b"payload")
    };
    with(TlsRecords::Own, talkative, async |_peer, transport| {
        assert!(transport.has_received());
        let mut buffer = BytesMut::new();
        assert_eq!(read(&transport, &mut buffer).await, Ok(7));
        assert!(!transport.has_received());
        // Asked for what it has, it makes nothing.
        assert!(!buffer.try_reclaim(8 * 1024), "it has all the memory");
    });
}

/// Else a client with many small records keeps a task from ending its turn.
#[test]
fn records_that_came_together_are_read_in_turns() {
    const RECORDS: usize = 2000;
    on(TlsRecords::Own, async |mut peer, transport| {
        let records: Vec<u8> = (0..RECORDS).flat_map(|_| peer.sealed(b"x")).collect();
        peer.tcp.write_all(&records).unwrap();
        let (reads, turns) = (Cell::new(0), Cell::new(0));
        let reading = async {
            let mut buffer = BytesMut::with_capacity(64 * 1024);
            let mut since = (0, 0);
            while reads.get() < RECORDS {
                assert_eq!(transport.read(&mut buffer).await.unwrap(), 1);
                buffer.clear();
                if turns.get() != since.0 {
                    since = (turns.get(), reads.get());
                }
                reads.set(reads.get() + 1);
                assert!(reads.get() - since.1 < 300, "its turn never ends");
            }
        };
        let others = async {
            while reads.get() < RECORDS {
                turns.set(turns.get() + 1);
                tokio::task::yield_now().await;
            }
        };
        let both = async { tokio::join!(reading, others) };
        timeout(PATIENCE, both).await.expect("they are there");
    });
}

impl Transport {
    /// Waits until there is something to read.
    async fn arrived(&self) {
        let arrived = poll_fn(|cx| self.with(|io| io.socket().tcp().poll_read_ready(cx)));
        let arrived = timeout(PATIENCE, arrived).await.expect("it arrives");
        arrived.unwrap();
    }
}

/// A client over a blocking socket.
struct Peer {
    tls: ClientConnection,
    tcp: std::net::TcpStream,
}

impl Peer {
    fn connect(address: std::net::SocketAddr, root: CertificateDer<'static>) -> Self {
        Self::by(Self::config(root).into(), "localhost", address, b"")
    }

    /// After a handshake with whose end some payload is sent.
    fn by(
        config: Arc<ClientConfig>,
        name: &'static str,
        address: std::net::SocketAddr,
        payload: &[u8],
    ) -> Self {
        let mut tls = ClientConnection::new(config, name.try_into().unwrap()).unwrap();
        tls.writer().write_all(payload).unwrap();
        let mut tcp = std::net::TcpStream::connect(address).unwrap();
        tcp.set_nodelay(true).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp).unwrap();
        }
        Self { tls, tcp }
    }

    fn config(root: CertificateDer<'static>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    fn sealed(&mut self, payload: &[u8]) -> Vec<u8> {
        self.tls.set_buffer_limit(None);
        self.tls.writer().write_all(payload).unwrap();
        self.outgoing()
    }

    fn outgoing(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records).unwrap();
        }
        records
    }

    fn send(&mut self, payload: &[u8]) {
        let records = self.sealed(payload);
        self.tcp.write_all(&records).unwrap();
    }

    fn close_notify(&mut self) -> Vec<u8> {
        self.tls.send_close_notify();
        self.outgoing()
    }

    /// What it makes of records: how much payload they have.
    fn told(&mut self, mut records: &[u8]) -> Result<usize, rustls::Error> {
        let mut all = 0;
        while !records.is_empty() {
            self.tls.read_tls(&mut records).unwrap();
            let state = self.tls.process_new_packets()?;
            let mut payload = vec![0; state.plaintext_bytes_to_read()];
            self.tls.reader().read_exact(&mut payload).unwrap();
            all += payload.len();
        }
        Ok(all)
    }

    /// All up to close_notify, without which it fails.
    fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut stream = rustls::Stream::new(&mut self.tls, &mut self.tcp);
        stream.read_to_end(&mut all).unwrap();
        all
    }
}

fn on_both(test: impl AsyncFn(Peer, Transport)) {
    on(TlsRecords::Own, &test);
    on(TlsRecords::Stock, &test);
}

/// Runs a test with a client and the transport to it.
fn on(records: TlsRecords, test: impl AsyncFn(Peer, Transport)) {
    with(records, Peer::connect, test);
}

/// As [`on`], with a client that comes in its own way.
fn with(
    records: TlsRecords,
    connect: fn(std::net::SocketAddr, CertificateDer<'static>) -> Peer,
    test: impl AsyncFn(Peer, Transport),
) {
    println!("{records:?}");
    let made = self_signed("localhost");
    let root = made.cert.der().clone();
    let acceptor = Acceptor::new(&[certificate(&made)], records, false).unwrap();
    accepted(
        &acceptor,
        move |address| connect(address, root),
        async |peer, transport, sni| {
            assert_eq!(sni.as_deref(), Some("localhost"));
            let own = matches!(*transport.io.borrow(), Io::Records(_));
            assert_eq!(own, records == TlsRecords::Own);
            test(peer, transport).await;
        },
    );
}

/// Runs a test with a client, the transport to it, and the name that it asked for.
fn accepted(
    acceptor: &Acceptor,
    connect: impl FnOnce(std::net::SocketAddr) -> Peer + Send + 'static,
    test: impl AsyncFnOnce(Peer, Transport, Option<Box<str>>),
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = thread::spawn(move || connect(address));
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let accepted = acceptor.accept(TcpStream::from_std(stream).unwrap());
        let accepted = timeout(PATIENCE, accepted).await.expect("it comes");
        let (transport, sni) = accepted.unwrap();
        test(peer.join().unwrap(), transport, sni).await;
    });
}

fn self_signed(name: &str) -> rcgen::CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap()
}

fn certificate(made: &rcgen::CertifiedKey<KeyPair>) -> Certificate {
    let origin = || Origin {
        file: PathBuf::from("gateway.toml"),
        line: 1,
        key: String::new(),
    };
    Certificate {
        chain: vec![made.cert.der().clone()],
        key: PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()),
        chain_origin: origin(),
        key_origin: origin(),
    }
}

async fn read(transport: &Transport, buffer: &mut BytesMut) -> Result<usize, ErrorKind> {
    if !transport.has_received() {
        buffer.reserve(1);
    }
    let read = poll_fn(|cx| transport.poll_read(cx, buffer));
    let read = timeout(PATIENCE, read).await.expect("something comes");
    read.map_err(|error| error.kind())
}

/// A sealed one.
const ALERT: usize = 5 + 2 + 1 + 16;

/// Generous: it only costs time when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);
