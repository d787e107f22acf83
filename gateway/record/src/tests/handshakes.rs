//! Where the handshake ends and the records begin.

use std::sync::Arc;

use bytes::BytesMut;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, Error, HandshakeKind};

use super::support::{
    Pair, SUITES, client, client_config, client_config_of, failed, sent_by, server_config,
    server_config_of, told, write,
};
use crate::{Handshake, HandshakeError, Step};

#[test]
fn no_byte_behind_the_handshake_is_lost_however_it_arrives() {
    for piece in [1, 2, 3, 5, 6, 7, 64, 100, 1000, usize::MAX] {
        // The second client has the first one's ticket.
        let config = client_config(&[], &[&TLS13]);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut client = client(&config);
            write(&mut client, b"one");
            let mut pair = Pair::after(client, &server_config(), piece);
            let was = pair.client.handshake_kind();
            assert_eq!(was, Some(kind), "in pieces of {piece}");
            assert_eq!(pair.open_all(), Ok((b"one".to_vec(), false)));
            works(&mut pair);
        }
    }
}

#[test]
fn a_handshake_with_a_second_hello_ends_as_well() {
    let mut few = default_provider();
    few.kx_groups = vec![kx_group::X25519];
    let mut other_first = default_provider();
    other_first.kx_groups = vec![kx_group::SECP384R1, kx_group::X25519];
    let config = client_config_of(other_first, &[&TLS13]);
    for piece in [1, 7, usize::MAX] {
        let mut pair = Pair::after(client(&config), &server_config_of(few.clone()), piece);
        let was = pair.client.handshake_kind();
        assert!(matches!(
            was,
            Some(HandshakeKind::FullWithHelloRetryRequest | HandshakeKind::Resumed)
        ));
        works(&mut pair);
    }
}

#[test]
fn what_the_first_message_lacks_is_left_for_another_configuration() {
    let whole = client_config(&[], &[&TLS12]);
    let mut parts = ClientConfig::clone(&whole);
    parts.max_fragment_size = Some(40);
    for config in [whole, Arc::new(parts)] {
        let hello = sent_by(&mut client(&config));
        for piece in [1, 50, usize::MAX] {
            let (error, out, received) = failed(&hello, piece);
            assert!(matches!(error, HandshakeError::First(_)), "{error:?}");
            assert_eq!((&out[..], &received[..]), (&[][..], &hello[..]));
        }
    }
}

#[test]
fn what_is_no_tls_is_known_at_once() {
    let (error, out, received) = failed(b"GET / HTTP/1.1\r\n", usize::MAX);
    assert!(matches!(error, HandshakeError::First(_)), "{error:?}");
    assert_eq!(
        (&out[..], &received[..]),
        (&[][..], &b"GET / HTTP/1.1\r\n"[..])
    );
}

#[test]
fn a_forged_end_of_the_handshake_is_answered_with_an_alert() {
    let mut client = client(&client_config(&[SUITES[0]], &[&TLS13]));
    let mut handshake = Handshake::new(server_config()).unwrap();
    let mut received = BytesMut::from(&sent_by(&mut client)[..]);
    let mut out = Vec::new();
    let step = handshake.advance(&mut received, &mut out);
    assert_eq!(step, Ok(Step::NeedMore));
    told(&mut client, &out).unwrap();
    let mut last = sent_by(&mut client);
    *last.last_mut().unwrap() ^= 1;
    received.extend_from_slice(&last);
    out.clear();
    let error = handshake.advance(&mut received, &mut out).unwrap_err();
    assert_eq!(error, HandshakeError::Later(Error::DecryptError));
    let heard = told(&mut client, &out).unwrap_err();
    assert_eq!(heard, Error::AlertReceived(AlertDescription::BadRecordMac));
    assert!(handshake.finish().is_err());
}

/// RFC 8446 §5: one is for middleboxes, and more are dropped as well.
#[test]
fn a_repeated_change_cipher_spec_hides_nothing_behind_it() {
    let mut client = client(&client_config(&[SUITES[0]], &[&TLS13]));
    let mut handshake = Handshake::new(server_config()).unwrap();
    let mut received = BytesMut::from(&sent_by(&mut client)[..]);
    let mut out = Vec::new();
    let step = handshake.advance(&mut received, &mut out);
    assert_eq!(step, Ok(Step::NeedMore));
    told(&mut client, &out).unwrap();
    let last = sent_by(&mut client);
    let spec = [20, 3, 3, 0, 1, 1];
    assert_eq!(last[..6], spec);
    received.extend_from_slice(&spec);
    received.extend_from_slice(&last);
    out.clear();
    let step = handshake.advance(&mut received, &mut out);
    assert_eq!(step, Ok(Step::Done));
}

#[test]
fn a_handshake_that_is_not_over_has_no_session() {
    assert!(Handshake::new(server_config()).unwrap().finish().is_err());
}

fn works(pair: &mut Pair) {
    write(&mut pair.client, b"to the server");
    let sent = sent_by(&mut pair.client);
    pair.received.extend_from_slice(&sent);
    assert_eq!(pair.open_all(), Ok((b"to the server".to_vec(), false)));
    let sealed = pair.sealed(&b"to the client"[..], 1);
    assert_eq!(pair.told(&sealed), Ok(b"to the client".to_vec()));
}
