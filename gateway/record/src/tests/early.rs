//! Payload before the handshake (0-RTT), which is never taken: it is skipped as stock skips it.

use std::io::Write;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::server::ProducesTickets;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use super::support::{SUITES, client, client_config, sent_by, server_config, told, told_server};
use crate::{Handshake, Step};

#[test]
fn whoever_stock_skips_early_data_of_is_served() {
    let mut skipped = 0;
    for size in [1, 100, 1000, 1400, 3000, 5000, 16_000] {
        for count in 1..=12 {
            let (mut client, sent) = eager(size, count);
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

            let (mut client, sent) = eager(size, count);
            let mut handshake = Handshake::new(server_config()).unwrap();
            let (mut received, mut out) = (BytesMut::from(&sent[..]), Vec::new());
            let ours = handshake.advance(&mut received, &mut out).is_ok() && {
                told(&mut client, &out).unwrap();
                received.extend_from_slice(&sent_by(&mut client));
                handshake.advance(&mut received, &mut out) == Ok(Step::Done)
            };
            assert!(ours || !stock, "{count} records of {size} bytes");
            skipped += usize::from(stock);
        }
    }
    assert!(skipped > 20, "{skipped}");
}

/// A client with a ticket of a server that took early data, and what it sends at once to another.
fn eager(size: usize, count: usize) -> (ClientConnection, Vec<u8>) {
    let mut config = ServerConfig::clone(&server_config());
    config.max_early_data_size = 1 << 20;
    config.ticketer = Arc::new(NoTicketer);
    let mut first = ServerConnection::new(Arc::new(config)).unwrap();
    let mut config = ClientConfig::clone(&client_config(&[SUITES[0]], &[&TLS13]));
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
