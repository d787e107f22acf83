//! What is refused, and the alert for it.

use bytes::BytesMut;

use super::support::{Forger, Pair, SUITES, open_all, sent_by, write};
use crate::{Fault, MAX_PAYLOAD, OVERHEAD, Received, SealError};

/// Every bit of a record is covered: changed, it never becomes payload.
#[test]
fn a_tampered_record_is_never_opened() {
    for suite in SUITES {
        for place in 0..20 + OVERHEAD {
            for bit in [0x01, 0x10, 0x80] {
                let mut pair = Pair::new(suite);
                write(&mut pair.client, &[7; 20]);
                let mut sent = sent_by(&mut pair.client);
                sent[place] ^= bit;
                // What follows could serve as the rest of a longer record.
                write(&mut pair.client, &[8; 20_000]);
                sent.extend(sent_by(&mut pair.client));
                pair.received.extend_from_slice(&sent);
                let fault = match place {
                    0 => Fault::Unexpected,
                    // 0x80 and 0x10 in the length's upper byte; else the record ends elsewhere.
                    3 if bit == 0x80 => Fault::Overflow,
                    _ => Fault::BadMac,
                };
                assert_eq!(pair.open_all(), Err(fault), "{place} {bit:x}");
                // And it stays so.
                assert_eq!(pair.open_all(), Err(fault));
                let sealed = pair.session.seal(&mut &b"x"[..], &mut [0; 100]);
                assert_eq!(sealed, Err(SealError::Ended));
                let end = pair.ended();
                let description = pair.told(&end).unwrap_err();
                let rustls::Error::AlertReceived(description) = description else {
                    panic!("{description:?}");
                };
                assert_eq!(Some(u8::from(description)), fault.alert());
            }
        }
    }
}

/// Records that are dropped, repeated, swapped or cut are not the next in order.
#[test]
fn records_out_of_order_are_not_authentic() {
    let records = |pair: &mut Pair| {
        let mut one = |payload: &[u8]| {
            write(&mut pair.client, payload);
            sent_by(&mut pair.client)
        };
        [one(b"one"), one(b"two")]
    };
    for order in [&[1][..], &[0, 0], &[1, 0]] {
        let mut pair = Pair::new(SUITES[0]);
        let records = records(&mut pair);
        for index in order {
            pair.received.extend_from_slice(&records[*index]);
        }
        if order[0] == 0 {
            let first = pair.session.open(&mut pair.received);
            assert_eq!(first, Ok(Received::Data(BytesMut::from(&b"one"[..]))));
        }
        assert_eq!(pair.open_all(), Err(Fault::BadMac), "{order:?}");
    }
    // The next record's first byte stands where the last one was: it must not be the same.
    let (mut pair, first, second) = loop {
        let mut pair = Pair::new(SUITES[0]);
        let [first, second] = records(&mut pair);
        if first.last() != second.first() {
            break (pair, first, second);
        }
    };
    pair.received.extend_from_slice(&first[..first.len() - 1]);
    pair.received.extend_from_slice(&second);
    assert_eq!(pair.open_all(), Err(Fault::BadMac));
}

#[test]
fn what_may_not_stand_behind_a_handshake_is_refused_by_name() {
    const UNEXPECTED: (Fault, u8) = (Fault::Unexpected, 10);
    let long = vec![7; MAX_PAYLOAD + 1];
    let padded = [&vec![7; MAX_PAYLOAD][..], &[23]].concat();
    let zeros = vec![0; MAX_PAYLOAD];
    let cases: &[(u8, &[u8], (Fault, u8))] = &[
        // Content types: none, change_cipher_spec, heartbeat, unknown.
        (0, b"", UNEXPECTED),
        (0, &zeros, UNEXPECTED),
        (20, &[1], UNEXPECTED),
        (24, b"x", UNEXPECTED),
        (255, b"x", UNEXPECTED),
        // Too long, with its type or with padding.
        (23, &long, (Fault::Overflow, 22)),
        (0, &padded, (Fault::Overflow, 22)),
        // Alerts.
        (21, b"", UNEXPECTED),
        (21, &[1], (Fault::BadAlert, 50)),
        (21, &[1, 0, 1, 0], (Fault::BadAlert, 50)),
        // Handshake messages: none, HelloRequest, ClientHello, NewSessionTicket, EndOfEarlyData,
        // CertificateRequest, Finished, unknown.
        (22, b"", UNEXPECTED),
        (22, &[0, 0, 0, 0], UNEXPECTED),
        (22, &[1, 0, 0, 1, 0], UNEXPECTED),
        (22, &[4, 0, 0, 1, 0], UNEXPECTED),
        (22, &[5, 0, 0, 0], UNEXPECTED),
        (22, &[13, 0, 0, 1, 0], UNEXPECTED),
        (22, &[20, 0, 0, 1, 0], UNEXPECTED),
        (22, &[99, 0, 0, 0], UNEXPECTED),
        // Key updates: wrong lengths, an unknown request, one that does not end its record.
        (22, &[24, 0, 0, 0], (Fault::BadKeyUpdate, 50)),
        (22, &[24, 0, 0, 2, 0, 0], (Fault::BadKeyUpdate, 50)),
        (22, &[24, 1], (Fault::BadKeyUpdate, 50)),
        (22, &[24, 0, 0, 1, 2], (Fault::BadRequest, 47)),
        (22, &[24, 0, 0, 1, 0, 24, 0, 0, 1, 0], UNEXPECTED),
    ];
    for suite in SUITES {
        for (kind, content, (fault, description)) in cases {
            let (mut forger, mut session) = Forger::of_session(suite);
            let mut received = BytesMut::from(&forger.record(*kind, content)[..]);
            let shown = &content[..content.len().min(10)];
            let opened = open_all(&mut session, &mut received);
            assert_eq!(opened, Err(*fault), "{kind} {shown:?}");
            let mut out = [0; 32];
            let used = session.end(&mut out).unwrap();
            assert_eq!(forger.alert_in(&out[..used]), Some(*description));
            assert_eq!(session.end(&mut out), Ok(0), "told once");
        }
    }
}

#[test]
fn what_is_not_encrypted_is_refused_before_it_is_whole() {
    for start in [
        &b"GET /"[..],
        &[20, 3, 3, 0, 1, 1],
        &[21, 3, 3, 0, 2],
        &[22, 3, 3, 0, 5],
    ] {
        let (_, mut session) = Forger::of_session(SUITES[0]);
        let opened = session.open(&mut BytesMut::from(start));
        assert_eq!(opened, Err(Fault::Unexpected), "{start:?}");
    }
    let (_, mut session) = Forger::of_session(SUITES[0]);
    let opened = session.open(&mut BytesMut::from(&[23, 3, 3, 0x41, 0x01][..]));
    assert_eq!(opened, Err(Fault::Overflow));
    // The longest that may be; and the shortest ones, which cannot be authentic.
    let (_, mut session) = Forger::of_session(SUITES[0]);
    let opened = session.open(&mut BytesMut::from(&[23, 3, 3, 0x41, 0x00][..]));
    assert_eq!(opened, Ok(Received::NeedMore(MAX_PAYLOAD + 256)));
    for length in 0..16 {
        let (_, mut session) = Forger::of_session(SUITES[0]);
        let mut received = BytesMut::from(&[23, 3, 3, 0, length][..]);
        received.resize(5 + usize::from(length), 0);
        assert_eq!(session.open(&mut received), Err(Fault::BadMac));
    }
}

#[test]
fn padding_is_no_payload() {
    for padding in [0, 1, 2, 100, MAX_PAYLOAD - 3] {
        let (mut forger, mut session) = Forger::of_session(SUITES[0]);
        let mut content = b"abc".to_vec();
        content.push(23);
        content.resize(4 + padding, 0);
        let kind = content.pop().unwrap();
        let mut received = BytesMut::from(&forger.record(kind, &content)[..]);
        let opened = open_all(&mut session, &mut received);
        assert_eq!(opened, Ok((b"abc".to_vec(), false)), "{padding}");
    }
}
