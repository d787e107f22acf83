//! Payload before the handshake (0-RTT), which is never taken: it is skipped as stock skips it.

use std::io::Write;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::server::ProducesTickets;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, Error, HandshakeKind, ServerConfig, ServerConnection,
    SupportedCipherSuite,
};

use super::support::{
    SUITES, client, client_config, sent_by, server_config, server_config_of, told, told_server,
};
use crate::{Handshake, HandshakeError, MAX_HANDSHAKE, Step};

/// Stock reads 4096 bytes at once.
#[test]
fn whoever_stock_skips_early_data_of_is_served_however_it_arrives() {
    // With the second, a client has to say hello again.
    for (server, kind) in [
        (server_config(), HandshakeKind::Full),
        (few_groups(), HandshakeKind::FullWithHelloRetryRequest),
    ] {
        let mut skipped = 0;
        for size in [1, 100, 1000, 1400, 3000, 5000, 16_000] {
            for count in 1..=12 {
                let early = || eager(SUITES[count % SUITES.len()], size, count);
                let stock = shake(early(), stock(&server)) == Ok(Some(kind));
                // What is skipped has at most 16 KiB, whatever stock makes of it.
                let due = stock || count * (size + 17) <= 16_384;
                for piece in [100, 2048, usize::MAX] {
                    let ours = shake(early(), ours(&server, piece));
                    let what = format!("{count} records of {size} bytes in pieces of {piece}");
                    assert_eq!(ours == Ok(Some(kind)), due, "{what}: {ours:?}");
                }
                skipped += usize::from(stock);
            }
        }
        assert!(skipped > 20, "{skipped}");
    }
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

/// A whole handshake, with a server that says whether it is done.
fn shake(
    (mut client, mut sent): (ClientConnection, Vec<u8>),
    mut server: impl FnMut(&[u8]) -> Result<(Vec<u8>, bool), Error>,
) -> Result<Option<HandshakeKind>, Error> {
    loop {
        let (out, done) = server(&sent)?;
        told(&mut client, &out).unwrap();
        sent = sent_by(&mut client);
        if sent.is_empty() {
            assert!(done && !client.is_handshaking());
            return Ok(client.handshake_kind());
        }
    }
}

fn ours(
    config: &Arc<ServerConfig>,
    piece: usize,
) -> impl FnMut(&[u8]) -> Result<(Vec<u8>, bool), Error> {
    let mut handshake = Handshake::new(Arc::clone(config)).unwrap();
    let mut received = BytesMut::new();
    move |sent| {
        let (mut out, mut done) = (Vec::new(), false);
        for piece in sent.chunks(piece) {
            assert!(!done);
            received.extend_from_slice(piece);
            match handshake.advance(&mut received, &mut out) {
                Ok(step) => done = step == Step::Done,
                Err(HandshakeError::First(error) | HandshakeError::Later(error)) => {
                    return Err(error);
                }
            }
        }
        Ok((out, done))
    }
}

fn stock(config: &Arc<ServerConfig>) -> impl FnMut(&[u8]) -> Result<(Vec<u8>, bool), Error> {
    let mut server = ServerConnection::new(Arc::clone(config)).unwrap();
    move |sent| {
        told_server(&mut server, sent)?;
        let mut out = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut out).unwrap();
        }
        Ok((out, !server.is_handshaking()))
    }
}

/// A server that lacks what others choose.
fn few_groups() -> Arc<ServerConfig> {
    let mut few = default_provider();
    few.kx_groups = vec![kx_group::SECP384R1];
    server_config_of(few)
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
