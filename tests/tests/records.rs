//! TLS towards clients, by our own records and by rustls's: what a client sees is the same.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use gateway_tests::harness::{
    ALICE, Authority, Backend, CONNECT, Gateway, Request, Setup, accept, poll, scale,
};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error, HandshakeKind, RootCertStore,
    ServerConfig, ServerConnection, SupportedCipherSuite, SupportedProtocolVersion,
};

#[test]
fn every_version_and_cipher_is_served_and_resumed() {
    with_each(|site| {
        let mut versions = [0, 0];
        for &suite in ALL_CIPHER_SUITES {
            let config = site.config(suite);
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let Some(mut peer) = site.peer(&config) else {
                    // The certificate's key is not of this cipher suite.
                    continue;
                };
                versions[usize::from(suite.tls13().is_some())] += 1;
                let body = vec![7; 100_000];
                peer.send(&Request::post("/upload", &body).by(&ALICE).bytes());
                assert_eq!(peer.status(), "200");
                assert_eq!(site.backend.one().body, body, "{suite:?}");
                assert_eq!(peer.tls.handshake_kind(), Some(kind), "{suite:?}");
            }
        }
        assert!(versions[0] > 0 && versions[1] == 6, "{versions:?}");
    });
}

#[test]
fn a_first_message_in_pieces_is_understood() {
    with_each(|site| {
        for suite in ALL_CIPHER_SUITES {
            let mut config = ClientConfig::clone(&site.config(*suite));
            config.max_fragment_size = Some(40);
            let Some(mut peer) = site.peer(&Arc::new(config)) else {
                // The certificate's key is not of this cipher suite.
                continue;
            };
            peer.send(&Request::get("/").by(&ALICE).bytes());
            assert_eq!(peer.status(), "200", "{suite:?}");
            site.backend.one();
        }
    });
}

#[test]
fn a_tampered_record_reaches_nobody() {
    with_each(|site| {
        let config = site.config(ALL_CIPHER_SUITES[0]);
        let request = Request::get("/").by(&ALICE).bytes();
        for end in [false, true] {
            let mut peer = site.peer(&config).unwrap();
            let mut records = peer.sealed(&request);
            let place = if end { records.len() - 1 } else { 5 };
            records[place] ^= 1;
            peer.tcp.write_all(&records).unwrap();
            // Session tickets come first.
            let alert = loop {
                if let Err(error) = peer.read() {
                    break error;
                }
            };
            assert_eq!(alert, Error::AlertReceived(AlertDescription::BadRecordMac));
            assert!(site.backend.requests().is_empty());
        }
        // The control.
        let mut peer = site.peer(&config).unwrap();
        peer.send(&request);
        assert_eq!(peer.status(), "200");
        site.backend.take();
    });
}

#[test]
fn keys_are_updated_in_the_middle_of_anything() {
    with_each(|site| {
        let config = site.config(ALL_CIPHER_SUITES[0]);
        let mut peer = site.peer(&config).unwrap();
        for _ in 0..3 {
            let body: Vec<u8> = (0..200_000_u32).map(|byte| byte as u8).collect();
            let message = Request::post("/upload", &body).by(&ALICE).bytes();
            for part in message.chunks(70_001) {
                peer.tls.refresh_traffic_keys().unwrap();
                peer.send(part);
            }
            peer.tls.refresh_traffic_keys().unwrap();
            assert_eq!(peer.status(), "200");
            assert_eq!(site.backend.one().body, body);
        }
    });
}

/// What has come of a record is no payload until it is whole: it puts nothing off.
#[test]
fn a_record_that_trickles_is_silence() {
    let lines = [("limits", "body_rate = 0"), ("timeouts", "body = \"1s\"")];
    with_each_of(&lines, |site| {
        let config = site.config(ALL_CIPHER_SUITES[0]);
        let body = [7; 10];
        let mut message = Request::post("/upload", &body).by(&ALICE).bytes();
        message.truncate(message.len() - body.len());

        // The control: the same pace, in whole records.
        let mut peer = site.peer(&config).unwrap();
        peer.send(&message);
        for byte in body {
            thread::sleep(PACE);
            peer.send(&[byte]);
        }
        assert_eq!(peer.status(), "200");
        assert_eq!(site.backend.one().body, body);

        let mut peer = site.peer(&config).unwrap();
        peer.send(&message);
        let record = peer.sealed(&body);
        let mut tcp = peer.tcp.try_clone().unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&cut);
        let trickling = thread::spawn(move || {
            let mut bytes = record.into_iter();
            while !ended.load(Ordering::SeqCst)
                && let Some(byte) = bytes.next()
            {
                tcp.write_all(&[byte]).unwrap();
                thread::sleep(PACE);
            }
            bytes.len()
        });
        assert_eq!(peer.status(), "408");
        cut.store(true, Ordering::SeqCst);
        let left = trickling.join().unwrap();
        assert!(left > 0, "the record is whole");
        site.backend.take();
    });
}

/// Each asks for one back (RFC 8446 §4.6.3): one answers all that came before something is sent, and none
/// keeps the worker from others.
#[test]
fn a_flood_of_key_updates_is_answered_once_and_harms_nobody() {
    with_each_of(&[("gateway", "workers = 1")], |site| {
        let config = site.config(ALL_CIPHER_SUITES[0]);
        let mut flood = site.peer(&config).unwrap();
        let body = vec![7; scale(5_000, 50_000)];
        let mut message = Request::post("/upload", &body).by(&ALICE).bytes();
        let payload = message.split_off(message.len() - body.len());
        let mut records = flood.sealed(&message);
        for byte in payload {
            // As many as are taken without payload.
            for _ in 0..32 {
                flood.tls.refresh_traffic_keys().unwrap();
            }
            records.extend(flood.sealed(&[byte]));
        }
        let mut other = site.peer(&config).unwrap();
        let flooding = thread::spawn(move || {
            flood.tcp.write_all(&records).unwrap();
            assert_eq!(flood.status(), "200");
            flood.received
        });
        let mut served = 0;
        while !flooding.is_finished() {
            other.send(&Request::get("/other").by(&ALICE).bytes());
            assert_eq!(other.status(), "200");
            served += 1;
        }
        let received = flooding.join().unwrap();
        println!("{served} others, {received} bytes for the flood");
        // At least between its turns.
        assert!(served > 2, "{served}");
        // Two tickets and the handshake among it.
        assert!(received < 4000, "{received}");
        let mut uploads = site.backend.take();
        uploads.retain(|request| request.target == "/upload");
        assert_eq!(uploads.len(), 1);
        assert_eq!(uploads[0].body, body);

        // Without payload they are refused: a client could go on for ever.
        let mut flood = site.peer(&config).unwrap();
        let mut records = Vec::new();
        for _ in 0..100 {
            flood.tls.refresh_traffic_keys().unwrap();
            records.extend(flood.sealed(b""));
        }
        flood.tcp.write_all(&records).unwrap();
        let mut answer = Vec::new();
        // It ends before it has read all, so perhaps by a reset.
        if let Err(error) = flood.tcp.read_to_end(&mut answer) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        assert!(answer.len() < 2000, "{}", answer.len());
    });
}

#[test]
fn records_may_be_small_and_come_byte_by_byte() {
    with_each(|site| {
        let mut config = ClientConfig::clone(&site.config(ALL_CIPHER_SUITES[0]));
        config.max_fragment_size = Some(40);
        let mut peer = site.peer(&Arc::new(config)).unwrap();
        peer.tcp.set_nodelay(true).unwrap();
        let message = Request::post("/upload", &[7; 1000]).by(&ALICE).bytes();
        // The second follows the first without waiting.
        let records = peer.sealed(&[&message[..], &message].concat());
        for byte in records {
            peer.tcp.write_all(&[byte]).unwrap();
        }
        for _ in 0..2 {
            assert_eq!(peer.status(), "200");
        }
        let bodies = site.backend.take().into_iter().map(|request| request.body);
        assert_eq!(bodies.collect::<Vec<_>>(), [[7; 1000], [7; 1000]]);
    });
}

#[test]
fn a_request_may_come_with_the_end_of_the_handshake() {
    with_each(|site| {
        let config = site.config(ALL_CIPHER_SUITES[0]);
        let name = ServerName::try_from(CONNECT).unwrap();
        let mut tls = ClientConnection::new(config, name).unwrap();
        let request = Request::get("/early").by(&ALICE).bytes();
        // Kept by rustls until it has the keys.
        tls.writer().write_all(&request).unwrap();
        let mut peer = Peer::over(tls, site.gateway.address());
        assert_eq!(peer.shake(), Ok(()));
        assert_eq!(peer.status(), "200");
        assert_eq!(site.backend.one().target, "/early");
    });
}

#[test]
fn a_body_that_came_with_its_head_is_not_asked_for() {
    with_each(|site| {
        let config = site.config(ALL_CIPHER_SUITES[0]);
        let mut peer = site.peer(&config).unwrap();
        for (body, status) in [(&b"body"[..], "200"), (b"", "100")] {
            let request = Request::new("POST", "/upload")
                .by(&ALICE)
                .field("Content-Length", "4")
                .field("Expect", "100-continue");
            let mut records = peer.sealed(&request.bytes());
            records.extend(peer.sealed(body));
            peer.tcp.write_all(&records).unwrap();
            assert_eq!(peer.status(), status);
            if body.is_empty() {
                // The control: it is waited for.
                peer.send(b"body");
                assert_eq!(peer.status(), "200");
            }
            assert_eq!(site.backend.one().body, b"body");
        }
    });
}

#[test]
fn a_handshake_that_fails_is_told_why() {
    with_each(|site| {
        let mut config = ClientConfig::clone(&site.config(ALL_CIPHER_SUITES[0]));
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut peer = site.unshaken(&Arc::new(config));
        let alert = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
        assert_eq!(peer.shake(), Err(alert));

        let mut tcp = site.tcp();
        tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = [0; 7];
        tcp.read_exact(&mut answer).unwrap();
        assert_eq!(
            (answer[0], answer[5]),
            (21, 2),
            "no fatal alert: {answer:?}"
        );

        let failures = "connect_gateway_tls_handshake_failures_total";
        site.gateway.counted(failures, &[], 2.0);
        let mut peer = site.peer(&site.config(ALL_CIPHER_SUITES[0])).unwrap();
        peer.send(&Request::get("/").by(&ALICE).bytes());
        assert_eq!(peer.status(), "200");
        site.backend.take();
    });
}

#[test]
fn a_handshake_that_goes_wrong_within_a_message_is_counted() {
    with_each(|site| {
        // A warning, the start of a hello, payload.
        let mut tcp = site.tcp();
        let warning = [21, 3, 1, 0, 2, 1, 112];
        let part = [22, 3, 1, 0, 5, 1, 0, 1, 0, 3];
        let payload = [23, 3, 1, 0, 1, 0];
        tcp.write_all(&[&warning[..], &part, &payload].concat())
            .unwrap();
        tcp.read_to_end(&mut Vec::new()).unwrap();

        // A hello that has to be said again; two other messages in its place.
        let mut provider = default_provider();
        provider.kx_groups = vec![kx_group::X25519];
        let config = site.config_of(provider, &TLS13);
        let mut hello = Vec::new();
        let mut peer = site.unshaken(&config);
        peer.tls.write_tls(&mut hello).unwrap();
        let key_share = [0, 51, 0, 38, 0, 36, 0, 29];
        let place = hello.windows(8).position(|eight| eight == key_share);
        // Now of a group that the gateway does not have.
        hello[place.unwrap() + 7] = 30;
        peer.tcp.write_all(&hello).unwrap();
        let mut retry = [0; 6];
        peer.tcp.read_exact(&mut retry).unwrap();
        assert_eq!((retry[0], retry[5]), (22, 2), "no hello: {retry:?}");
        let two = [22, 3, 3, 0, 8, 20, 0, 0, 0, 20, 0, 0, 0];
        peer.tcp.write_all(&two).unwrap();
        peer.tcp.read_to_end(&mut Vec::new()).unwrap();

        let failures = "connect_gateway_tls_handshake_failures_total";
        site.gateway.counted(failures, &[], 2.0);
        let mut peer = site.peer(&site.config(ALL_CIPHER_SUITES[0])).unwrap();
        peer.send(&Request::get("/").by(&ALICE).bytes());
        assert_eq!(peer.status(), "200");
        site.backend.take();
    });
}

/// Payload before the handshake (0-RTT) is never taken. A client may send it all the same, with a ticket
/// of another server.
#[test]
fn early_data_is_skipped() {
    with_each(|site| {
        for (size, count) in [(1, 1), (1000, 5), (2500, 2), (5000, 1)] {
            let mut peer = eager(site, size, count);
            assert_eq!(peer.shake(), Ok(()), "{count} of {size}");
            assert!(!peer.tls.is_early_data_accepted());
            peer.send(&Request::get("/").by(&ALICE).bytes());
            assert_eq!(peer.status(), "200");
            assert_eq!(site.backend.one().target, "/");
        }
        // More than rustls skips.
        let mut peer = eager(site, 16_384, 1);
        let refused = peer.shake().and_then(|()| peer.read());
        let alert = Error::AlertReceived(AlertDescription::BadRecordMac);
        assert_eq!(refused, Err(alert));
    });
}

/// A client that has sent its hello and early data.
fn eager(site: &Site, size: usize, count: usize) -> Peer {
    let ca = Authority::new("another server");
    let mut server = ServerConfig::clone(&accept(&ca.server(&[CONNECT])));
    server.max_early_data_size = 1 << 20;
    let mut roots = RootCertStore::empty();
    roots.add(site.ca.clone()).unwrap();
    roots.add(ca.der()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_early_data = true;
    let config = Arc::new(config);
    let name = ServerName::try_from(CONNECT).unwrap();

    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut client = ClientConnection::new(Arc::clone(&config), name.clone()).unwrap();
    while client.wants_write() || server.wants_write() {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.write_tls(&mut up).unwrap();
        server.read_tls(&mut &up[..]).unwrap();
        server.process_new_packets().unwrap();
        while server.wants_write() {
            server.write_tls(&mut down).unwrap();
        }
        let mut down = &down[..];
        while !down.is_empty() {
            client.read_tls(&mut down).unwrap();
            client.process_new_packets().unwrap();
        }
    }

    let mut tls = ClientConnection::new(config, name).unwrap();
    let mut early = tls.early_data().expect("the ticket allows it");
    for _ in 0..count {
        assert_eq!(early.write(&vec![7; size]).unwrap(), size);
    }
    let mut sent = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut sent).unwrap();
    }
    let mut peer = Peer::over(tls, site.gateway.address());
    peer.tcp.write_all(&sent).unwrap();
    peer
}

/// Five times faster than silence, and far too slow for a record.
const PACE: Duration = Duration::from_millis(200);

/// A gateway with its back-end.
struct Site {
    backend: Backend,
    gateway: Gateway,
    ca: CertificateDer<'static>,
}

/// Runs a test on our own records and on rustls's.
fn with_each(test: impl Fn(&Site)) {
    with_each_of(&[], test);
}

/// As [`with_each`], with more lines of configuration.
fn with_each_of(more: &[(&'static str, &str)], test: impl Fn(&Site)) {
    for records in ["own", "stock"] {
        println!("tls_records = {records:?}");
        let backend = Backend::recording();
        let line = format!("tls_records = {records:?}");
        let mut setup = Setup::connect(&backend).line("gateway", &line);
        for &(section, line) in more {
            setup = setup.line(section, line);
        }
        let prepared = setup.prepare();
        let ca = prepared.ca.der();
        test(&Site {
            backend,
            gateway: Gateway::start(prepared),
            ca,
        });
    }
}

impl Site {
    fn config(&self, suite: SupportedCipherSuite) -> Arc<ClientConfig> {
        let mut provider = default_provider();
        provider.cipher_suites = vec![suite];
        let version = match suite.tls13() {
            Some(_) => &TLS13,
            None => &TLS12,
        };
        self.config_of(provider, version)
    }

    fn config_of(
        &self,
        provider: CryptoProvider,
        version: &'static SupportedProtocolVersion,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    fn tcp(&self) -> TcpStream {
        let tcp = TcpStream::connect(self.gateway.address()).unwrap();
        tcp.set_read_timeout(Some(poll::patience())).unwrap();
        tcp
    }

    fn unshaken(&self, config: &Arc<ClientConfig>) -> Peer {
        let name = ServerName::try_from(CONNECT).unwrap();
        let tls = ClientConnection::new(Arc::clone(config), name).unwrap();
        Peer::over(tls, self.gateway.address())
    }

    /// A client after its handshake; `None` if the gateway knows nothing in common.
    fn peer(&self, config: &Arc<ClientConfig>) -> Option<Peer> {
        let mut peer = self.unshaken(config);
        match peer.shake() {
            Ok(()) => Some(peer),
            Err(Error::AlertReceived(AlertDescription::HandshakeFailure)) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A client whose records pass through the test's hands.
struct Peer {
    tls: ClientConnection,
    tcp: TcpStream,
    /// Payload that nobody asked for yet.
    read: Vec<u8>,
    /// Bytes, records and all.
    received: usize,
}

impl Peer {
    fn over(tls: ClientConnection, address: std::net::SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(poll::patience())).unwrap();
        Self {
            tls,
            tcp,
            read: Vec::new(),
            received: 0,
        }
    }

    fn shake(&mut self) -> Result<(), Error> {
        while self.tls.is_handshaking() {
            self.write();
            if self.tls.is_handshaking() {
                self.read()?;
            }
        }
        self.write();
        Ok(())
    }

    fn send(&mut self, payload: &[u8]) {
        let records = self.sealed(payload);
        self.tcp.write_all(&records).unwrap();
    }

    fn sealed(&mut self, payload: &[u8]) -> Vec<u8> {
        self.tls.set_buffer_limit(None);
        self.tls.writer().write_all(payload).unwrap();
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records).unwrap();
        }
        records
    }

    fn write(&mut self) {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.tcp).unwrap();
        }
    }

    /// Reads once; fails the test at an end that no alert explains.
    fn read(&mut self) -> Result<(), Error> {
        let count = self.tls.read_tls(&mut self.tcp).unwrap();
        self.received += count;
        self.tls.process_new_packets()?;
        let mut bytes = [0; 4096];
        loop {
            match self.tls.reader().read(&mut bytes) {
                Ok(0) => break,
                Ok(length) => self.read.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(count > 0, "the connection ended");
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        Ok(())
    }

    /// Reads an answer without a body. Returns its status.
    fn status(&mut self) -> String {
        let end = loop {
            let end = self.read.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => self.read().unwrap(),
            }
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            self.read().unwrap();
        }
        self.read.drain(..length);
        head["HTTP/1.1 ".len()..][..3].to_owned()
    }
}
