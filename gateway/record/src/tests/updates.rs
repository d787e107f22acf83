//! Key updates (RFC 8446 §4.6.3).

use super::support::{Forger, Pair, SUITES, open_all, sent_by, told_server, write};
use crate::key::KeyError;
use crate::{Fault, Key, MAX_PAYLOAD, OVERHEAD};

use bytes::BytesMut;
use rustls::ConnectionTrafficSecrets;
use rustls::crypto::cipher::{AeadKey, Iv};

#[test]
fn a_client_that_asks_gets_an_update_before_more_payload() {
    let mut pair = Pair::new(SUITES[0]);
    for _ in 0..3 {
        // Twice before we send: answered once.
        for _ in 0..2 {
            pair.client.refresh_traffic_keys().unwrap();
            write(&mut pair.client, b"x");
            let sent = sent_by(&mut pair.client);
            pair.received.extend_from_slice(&sent);
        }
        assert_eq!(pair.open_all(), Ok((b"xx".to_vec(), false)));
        let sealed = pair.sealed(&b"y"[..], 1);
        assert_eq!(sealed.len(), 5 + OVERHEAD + 1 + OVERHEAD);
        assert_eq!(pair.told(&sealed), Ok(b"y".to_vec()));
        let sealed = pair.sealed(&b"y"[..], 1);
        assert_eq!(sealed.len(), 1 + OVERHEAD);
        assert_eq!(pair.told(&sealed), Ok(b"y".to_vec()));
    }
}

#[test]
fn an_update_that_was_asked_for_finds_its_way_into_a_full_write() {
    let mut pair = Pair::new(SUITES[0]);
    pair.client.refresh_traffic_keys().unwrap();
    let sent = sent_by(&mut pair.client);
    pair.received.extend_from_slice(&sent);
    assert_eq!(pair.open_all(), Ok((Vec::new(), false)));
    let payload = vec![7; MAX_PAYLOAD];
    let mut out = vec![0; crate::room_for(1)];
    let used = pair.session.seal(&mut &payload[..], &mut out).unwrap();
    assert_eq!(used, out.len());
    assert_eq!(pair.told(&out), Ok(payload));
}

#[test]
fn a_worn_key_is_replaced() {
    let mut pair = Pair::new(SUITES[0]);
    // Not one record too late: a limit of none means an update before each.
    pair.session.wear(0);
    let sealed = pair.sealed(&b"y"[..], 1);
    assert_eq!(sealed.len(), 5 + OVERHEAD + 1 + OVERHEAD);
    assert_eq!(pair.told(&sealed), Ok(b"y".to_vec()));
    for limit in 1..4 {
        pair.session.wear(limit);
        // The one before has sealed one record with the present key.
        let mut updates = 0;
        for _ in 0..12 {
            let sealed = pair.sealed(&b"y"[..], 1);
            updates += usize::from(sealed.len() > 1 + OVERHEAD);
            assert_eq!(pair.told(&sealed), Ok(b"y".to_vec()));
            pair.session.wear(limit);
        }
        assert!(
            updates >= 12 / usize::try_from(limit).unwrap() - 1,
            "{limit}"
        );
    }
}

#[test]
fn a_key_has_its_limit_from_its_cipher() {
    let (key, iv) = (|| AeadKey::from([7; 32]), || Iv::from([3; 12]));
    let gcm = ConnectionTrafficSecrets::Aes256Gcm {
        key: key(),
        iv: iv(),
    };
    assert!(!Key::new((1 << 24) - 1, &gcm).unwrap().is_worn());
    assert!(Key::new(1 << 24, &gcm).unwrap().is_worn());
    let chacha = ConnectionTrafficSecrets::Chacha20Poly1305 {
        key: key(),
        iv: iv(),
    };
    assert!(!Key::new(1 << 63, &chacha).unwrap().is_worn());
    // Nor is a number ever used twice.
    let mut key = Key::new(u64::MAX - 1, &chacha).unwrap();
    let mut out = [0; 1 + OVERHEAD];
    assert_eq!(key.seal(23, &mut &b"x"[..], 1, &mut out), Ok(out.len()));
    assert!(key.is_worn());
    let over = key.seal(23, &mut &b"x"[..], 1, &mut out);
    assert_eq!(over, Err(KeyError::Seal));
    let wrong = ConnectionTrafficSecrets::Aes128Gcm {
        key: AeadKey::from([7; 32]),
        iv: iv(),
    };
    assert_eq!(Key::new(0, &wrong).unwrap_err(), KeyError::Secrets);
}

#[test]
fn an_update_may_come_in_pieces_with_nothing_between_them() {
    for split in 1..5 {
        let (mut forger, mut session) = Forger::of_session(SUITES[0]);
        let (first, second) = crate::KEY_UPDATE.split_at(split);
        let mut received = BytesMut::from(&forger.record(22, first)[..]);
        received.extend_from_slice(&forger.record(22, second));
        forger.update();
        received.extend_from_slice(&forger.record(23, b"x"));
        let opened = open_all(&mut session, &mut received);
        assert_eq!(opened, Ok((b"x".to_vec(), false)), "{split}");

        let others = [
            (22, &b""[..]),
            (23, b"x"),
            (23, b""),
            (21, &[1, 0]),
            (21, &[1, 90]),
        ];
        for (kind, content) in others {
            let (mut forger, mut session) = Forger::of_session(SUITES[0]);
            let mut received = BytesMut::from(&forger.record(22, first)[..]);
            received.extend_from_slice(&forger.record(kind, content));
            let opened = open_all(&mut session, &mut received);
            assert_eq!(opened, Err(Fault::Unexpected), "{split} {kind}");
        }
    }
}

/// Both bounds are stock rustls's too.
#[test]
fn updates_without_payload_are_bounded() {
    for (updates, between, taken) in [(32, 0, true), (33, 0, false), (60, 20, true)] {
        let (mut forger, mut session) = Forger::of_session(SUITES[0]);
        let (mut other, mut stock) = Forger::of_stock(SUITES[0]);
        let (mut received, mut also) = (BytesMut::new(), Vec::new());
        for count in 0..updates {
            received.extend_from_slice(&forger.record(22, &crate::KEY_UPDATE));
            also.extend(other.record(22, &crate::KEY_UPDATE));
            forger.update();
            other.update();
            if between > 0 && count % between == 0 {
                received.extend_from_slice(&forger.record(23, b"x"));
                also.extend(other.record(23, b"x"));
            }
        }
        let opened = open_all(&mut session, &mut received);
        assert_eq!(opened.is_ok(), taken, "{updates}");
        if !taken {
            assert_eq!(opened, Err(Fault::Flood));
        }
        assert_eq!(told_server(&mut stock, &also).is_ok(), taken, "{updates}");
    }
}

#[test]
fn other_records_without_payload_are_bounded_as_well() {
    for (kind, content) in [(23, &b""[..]), (21, &[1, 90])] {
        let (mut forger, mut session) = Forger::of_session(SUITES[0]);
        let mut received = BytesMut::new();
        for _ in 0..32 {
            received.extend_from_slice(&forger.record(kind, content));
        }
        received.extend_from_slice(&forger.record(23, b"x"));
        for _ in 0..32 {
            received.extend_from_slice(&forger.record(kind, content));
        }
        let opened = open_all(&mut session, &mut received);
        assert_eq!(opened, Ok((b"x".to_vec(), false)));
        received.extend_from_slice(&forger.record(kind, content));
        assert_eq!(open_all(&mut session, &mut received), Err(Fault::Flood));
    }
}
