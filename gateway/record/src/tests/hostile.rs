//! Handshakes of clients that mean no good.

use std::iter::repeat;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, Error, ServerConfig, ServerConnection};

use super::support::{
    Pair, SUITES, Shaking, client, client_config, client_config_of, failed, sent_by, server_config,
    server_config_of, told, told_server,
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
    let mut other_first = default_provider();
    other_first.kx_groups = vec![kx_group::SECP384R1, kx_group::X25519];
    let mut client = client(&client_config_of(other_first, &[&TLS13]));
    let mut handshake = Handshake::new(few_groups()).unwrap();
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

/// RFC 8446 §5 would have one dropped wherever it stands; rustls refuses it within a message, with our
/// records and with its own.
#[test]
fn a_change_cipher_spec_is_judged_as_by_stock() {
    let mut refused = [0; 3];
    for (flight, refusals) in refused.iter_mut().enumerate() {
        for place in 0.. {
            let Some(stock) = shaken_with_spec(flight, place, stock()) else {
                break;
            };
            let ours = shaken_with_spec(flight, place, ours()).unwrap();
            assert_eq!(ours, stock, "flight {flight}, before record {place}");
            *refusals += usize::from(stock.said.is_err());
        }
    }
    // Within the many records of a hello, and the two of a Finished.
    assert!(
        refused[0] > 2 && refused[1] > 2 && refused[2] == 1,
        "{refused:?}"
    );
}

/// What a server says, and what its client hears.
#[derive(Debug, PartialEq)]
struct Verdict {
    said: Result<(), Error>,
    heard: Result<Vec<u8>, Error>,
}

/// What becomes of a handshake with two hellos and one
/// change_cipher_spec more before a record of one of the client's flights; `None` if there are fewer.
fn shaken_with_spec(
    flight: usize,
    place: usize,
    mut server: impl FnMut(&[u8]) -> (Result<(), Error>, Vec<u8>),
) -> Option<Verdict> {
    let mut other_first = default_provider();
    other_first.kx_groups = vec![kx_group::SECP384R1, kx_group::X25519];
    let mut config = ClientConfig::clone(&client_config_of(other_first, &[&TLS13]));
    config.max_fragment_size = Some(32);
    let mut client = client(&Arc::new(config));
    for number in 0..3 {
        let mut sent = records(&sent_by(&mut client));
        if number == flight {
            // Behind the last it would be the session's.
            if place >= sent.len() {
                return None;
            }
            sent.insert(place, vec![20, 3, 3, 0, 1, 1]);
        }
        for record in sent {
            let (said, out) = server(&record);
            let heard = told(&mut client, &out);
            if said.is_err() {
                return Some(Verdict { said, heard });
            }
            heard.unwrap();
        }
    }
    assert!(!client.is_handshaking());
    Some(Verdict {
        said: Ok(()),
        heard: Ok(Vec::new()),
    })
}

/// A handshake of ours, and what follows it when it leaves all to stock.
fn ours() -> impl FnMut(&[u8]) -> (Result<(), Error>, Vec<u8>) {
    let mut handshake = Handshake::new(few_groups()).unwrap();
    let mut received = BytesMut::new();
    move |record| {
        received.extend_from_slice(record);
        let mut out = Vec::new();
        match handshake.advance(&mut received, &mut out) {
            Ok(_) => (Ok(()), out),
            Err(HandshakeError::First(_)) => stock()(&received),
            Err(HandshakeError::Later(error)) => (Err(error), out),
        }
    }
}

fn stock() -> impl FnMut(&[u8]) -> (Result<(), Error>, Vec<u8>) {
    let mut server = ServerConnection::new(few_groups()).unwrap();
    move |records| {
        let said = told_server(&mut server, records).map(|_| ());
        let mut out = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut out).unwrap();
        }
        (said, out)
    }
}

/// Whose clients with another first choice have to say hello again.
fn few_groups() -> Arc<ServerConfig> {
    let mut few = default_provider();
    few.kx_groups = vec![kx_group::X25519];
    server_config_of(few)
}

fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some(&[_, _, _, high, low]) = bytes.first_chunk() {
        let (record, rest) = bytes.split_at(5 + usize::from(u16::from_be_bytes([high, low])));
        records.push(record.to_vec());
        bytes = rest;
    }
    records
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
