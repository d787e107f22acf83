//! Handshakes of clients that mean no good.

use std::iter::repeat;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, Error};

use super::support::{
    Pair, SUITES, Shaking, client, client_config, client_config_of, failed, sent_by, server_config,
    server_config_of, told,
};
use crate::{Handshake, HandshakeError, MAX_HANDSHAKE, MAX_PAYLOAD, Step};

/// rustls must not be asked for an alert where it would rather go on with its input.
#[test]
fn a_fault_in_the_middle_of_a_message_is_an_error() {
    let part = [22, 3, 1, 0, 5, 1, 0, 1, 0, 3];
    let payload = [23, 3, 1, 0, 1, 0];
    failed(&[&WARNING[..], &part, &payload].concat(), usize::MAX);

    let mut shaking = Shaking::new();
    let part = shaking.sealed(22, &[20, 0, 0, 32, 1, 2, 3]);
    assert_eq!(shaking.shown(&part), Ok(Step::NeedMore));
    let mut forged = shaking.sealed(22, &[4, 5, 6]);
    *forged.last_mut().unwrap() ^= 1;
    let error = shaking.shown(&forged);
    assert_eq!(error, Err(HandshakeError::Later(Error::DecryptError)));
    let alert = Error::AlertReceived(AlertDescription::BadRecordMac);
    assert_eq!(shaking.heard(), Err(alert));
}

#[test]
fn two_messages_in_the_place_of_a_second_hello_are_an_error() {
    let mut few = default_provider();
    few.kx_groups = vec![kx_group::X25519];
    let mut other_first = default_provider();
    other_first.kx_groups = vec![kx_group::SECP384R1, kx_group::X25519];
    let mut client = client(&client_config_of(other_first, &[&TLS13]));
    let mut handshake = Handshake::new(server_config_of(few)).unwrap();
    let mut received = BytesMut::from(&sent_by(&mut client)[..]);
    let mut out = Vec::new();
    let step = handshake.advance(&mut received, &mut out);
    assert_eq!(step, Ok(Step::NeedMore));
    told(&mut client, &out).unwrap();
    out.clear();
    received.extend_from_slice(&[22, 3, 3, 0, 8, 20, 0, 0, 0, 20, 0, 0, 0]);
    let error = handshake.advance(&mut received, &mut out).unwrap_err();
    assert!(matches!(error, HandshakeError::Later(_)), "{error:?}");
}

/// Of a message that is not whole rustls discards nothing.
#[test]
fn what_a_handshake_holds_is_bounded() {
    // A hello, of which each record has one byte.
    let mut handshake = Handshake::new(server_config()).unwrap();
    let (mut sent, mut received, mut out) = (Vec::new(), BytesMut::new(), Vec::new());
    let mut hello = [1, 0, 0xff, 0xf0].into_iter().chain(repeat(0));
    let error = loop {
        let record = [22, 3, 1, 0, 1, hello.next().unwrap()];
        sent.extend_from_slice(&record);
        received.extend_from_slice(&record);
        match handshake.advance(&mut received, &mut out) {
            Ok(step) => assert_eq!(step, Step::NeedMore),
            Err(error) => break error,
        }
        assert!(received.len() < MAX_HANDSHAKE);
    };
    assert!(matches!(error, HandshakeError::First(_)), "{error:?}");
    assert_eq!((&out[..], &received[..]), (&[][..], &sent[..]));

    // The same of the client's last message, and the rest of each record is padding.
    let mut shaking = Shaking::new();
    let mut last = [20, 0, 0xff, 0xf0].into_iter().chain(repeat(0));
    let error = loop {
        let mut content = vec![last.next().unwrap(), 22];
        content.resize(MAX_PAYLOAD, 0);
        let record = shaking.sealed(0, &content);
        match shaking.shown(&record) {
            Ok(step) => assert_eq!(step, Step::NeedMore),
            Err(error) => break error,
        }
        assert!(shaking.received.len() < MAX_HANDSHAKE);
    };
    assert!(matches!(error, HandshakeError::Later(_)), "{error:?}");
}

#[test]
fn a_huge_hello_is_taken() {
    let mut config = ClientConfig::clone(&client_config(&[SUITES[0]], &[&TLS13]));
    config.alpn_protocols = vec![vec![b'x'; 240]; 260];
    let config = Arc::new(config);
    for piece in [2048, usize::MAX] {
        let mut pair = Pair::after(client(&config), &server_config(), piece);
        let sealed = pair.sealed(&b"to the client"[..], 1);
        assert_eq!(pair.told(&sealed), Ok(b"to the client".to_vec()));
    }
}

/// Stock rustls takes a warning before a hello, and so it must get all to judge.
#[test]
fn warnings_before_a_hello_are_no_beginning() {
    for (warnings, piece) in [(1, 1), (1, usize::MAX), (3, 10)] {
        let warnings = WARNING.repeat(warnings);
        let hello = sent_by(&mut client(&client_config(&[], &[&TLS12])));
        let sent = [warnings.clone(), hello].concat();
        let (error, out, received) = failed(&sent, piece);
        assert!(matches!(error, HandshakeError::First(_)), "{error:?}");
        assert_eq!((&out[..], &received[..]), (&[][..], &sent[..]));

        // The control.
        let mut client = client(&client_config(&[], &[&TLS13]));
        let sent = [warnings, sent_by(&mut client)].concat();
        let mut handshake = Handshake::new(server_config()).unwrap();
        let (mut received, mut out) = (BytesMut::new(), Vec::new());
        for piece in sent.chunks(piece) {
            received.extend_from_slice(piece);
            let step = handshake.advance(&mut received, &mut out);
            assert_eq!(step, Ok(Step::NeedMore));
        }
        told(&mut client, &out).unwrap();
        received.extend_from_slice(&sent_by(&mut client));
        let step = handshake.advance(&mut received, &mut out);
        assert_eq!(step, Ok(Step::Done));
    }
}

/// An alert that stock rustls puts up with: a warning of a name that is not known.
const WARNING: [u8; 7] = [21, 3, 1, 0, 2, 1, 112];
