//! Payload before the handshake (0-RTT), which is never taken: it is skipped as stock skips it.

use std::io::Write;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::server::ProducesTickets;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection, SupportedCipherSuite,
};

use super::support::{SUITES, client, client_config, sent_by, server_config, told, told_server};
use crate::{Handshake, HandshakeError, MAX_HANDSHAKE, Step};

/// Stock reads 4096 bytes at once.
#[test]
fn whoever_stock_skips_early_data_of_is_served_however_it_arrives() {
    let mut skipped = 0;
    for size in [1, 100, 1000, 1400, 3000, 5000, 16_000] {
        for count in 1..=12 {
            let (mut client, sent) = eager(SUITES[count % SUITES.len()], size, count);
            let mut server = ServerConnection::new(server_config()).unwrap();
            let stock = told_server(&mut server, &sent).is_ok() && {
                let mut out = Vec::new();
                while server.wants_write() {
                    server.write_tls(&mut out).unwrap();
                }
                told(&mut client, &out).unwrap();
                told_server(&mut server, &sent_by(&mut client)).is_ok()
            };
            assert!(!stock || !server.is_handshaking());
            // What is skipped has at most 16 KiB, whatever stock makes of it.
            let due = stock || count * (size + 17) <= 16_384;
            for piece in [100, 2048, usize::MAX] {
                let ours = is_served(size, count, piece);
                let what = format!("{count} records of {size} bytes in pieces of {piece}");
                assert_eq!(ours.is_ok(), due, "{what}: {ours:?}");
            }
            skipped += usize::from(stock);
        }
    }
    assert!(skipped > 20, "{skipped}");
}

/// Such records count for nothing where payload is counted.
#[test]
fn early_data_without_payload_has_an_end() {
    let (_, mut sent) = eager(SUITES[0], 1, 1);
    let mut handshake = Handshake::new(server_config()).unwrap();
    let (mut received, mut out, mut all) = (BytesMut::new(), Vec::new(), 0);
    let error = loop {
        received.extend_from_slice(&sent);
        all += sent.len();
        match handshake.advance(&mut received, &mut out) {
            Ok(step) => assert_eq!(step, Step::NeedMore),
            Err(error) => break error,
        }
        assert!(received.is_empty() && all < 2 * MAX_HANDSHAKE);
        sent = [23, 3, 3, 0, 0].repeat(100);
    };
    assert!(matches!(error, HandshakeError::Later(_)), "{error:?}");
}

/// What becomes of a client whose early data arrives in pieces.
fn is_served(size: usize, count: usize, piece: usize) -> Result<(), HandshakeError> {
    let (mut client, sent) = eager(SUITES[count % SUITES.len()], size, count);
    let mut handshake = Handshake::new(server_config()).unwrap();
    let (mut received, mut out) = (BytesMut::new(), Vec::new());
    for piece in sent.chunks(piece) {
        received.extend_from_slice(piece);
        assert_eq!(handshake.advance(&mut received, &mut out)?, Step::NeedMore);
    }
    told(&mut client, &out).unwrap();
    let last = sent_by(&mut client);
    let mut step = Step::NeedMore;
    for piece in last.chunks(piece) {
        received.extend_from_slice(piece);
        step = handshake.advance(&mut received, &mut out)?;
    }
    assert_eq!(step, Step::Done);
    Ok(())
}

/// A client with a ticket of a server that took early data, and what it sends at once to another.
fn eager(suite: SupportedCipherSuite, size: usize, count: usize) -> (ClientConnection, Vec<u8>) {
    let mut config = ServerConfig::clone(&server_config());
    config.max_early_data_size = 1 << 20;
    config.ticketer = Arc::new(NoTicketer);
    let mut first = ServerConnection::new(Arc::new(config)).unwrap();
    let mut config = ClientConfig::clone(&client_config(&[suite], &[&TLS13]));
    config.enable_early_data = true;
    let config = Arc::new(config);
    let mut before = client(&config);
    while before.is_handshaking() || first.is_handshaking() {
        told_server(&mut first, &sent_by(&mut before)).unwrap();
        let mut out = Vec::new();
        while first.wants_write() {
            first.write_tls(&mut out).unwrap();
        }
        told(&mut before, &out).unwrap();
    }
    let mut client = client(&config);
    let mut sent = sent_by(&mut client);
    for _ in 0..count {
        let mut early = client.early_data().expect("the ticket allows it");
        assert_eq!(early.write(&vec![7; size]).unwrap(), size);
        sent.extend(sent_by(&mut client));
    }
    (client, sent)
}

/// Whose server knows its sessions itself: only such a one takes early data.
#[derive(Debug)]
struct NoTicketer;

impl ProducesTickets for NoTicketer {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
