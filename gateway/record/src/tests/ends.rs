//! Alerts, and the end of each direction (RFC 8446 §6.1).

use bytes::BytesMut;

use super::support::{Forger, Pair, SUITES, open_all, sent_by, write};
use crate::{Fault, Received, SealError};

#[test]
fn what_follows_the_end_is_ignored_and_ours_goes_on() {
    let mut pair = Pair::new(SUITES[0]);
    write(&mut pair.client, b"last");
    pair.client.send_close_notify();
    let sent = sent_by(&mut pair.client);
    pair.received.extend_from_slice(&sent);
    pair.received.extend_from_slice(b"anything");
    assert_eq!(pair.open_all(), Ok((b"last".to_vec(), true)));
    assert!(pair.received.is_empty());
    pair.received.extend_from_slice(b"more");
    assert_eq!(pair.session.open(&mut pair.received), Ok(Received::Closed));
    let sealed = pair.sealed(&b"answer"[..], 1);
    assert_eq!(pair.told(&sealed), Ok(b"answer".to_vec()));
    let end = pair.ended();
    assert_eq!(pair.told(&end), Ok(Vec::new()));
    let state = pair.client.process_new_packets().unwrap();
    assert!(state.peer_has_closed());
}

#[test]
fn after_our_end_we_still_read_and_send_nothing() {
    let mut pair = Pair::new(SUITES[0]);
    let end = pair.ended();
    assert_eq!(pair.told(&end), Ok(Vec::new()));
    assert!(pair.ended().is_empty(), "told once");
    let sealed = pair.session.seal(&mut &b"x"[..], &mut [0; 100]);
    assert_eq!(sealed, Err(SealError::Ended));
    write(&mut pair.client, b"x");
    let sent = sent_by(&mut pair.client);
    pair.received.extend_from_slice(&sent);
    assert_eq!(pair.open_all(), Ok((b"x".to_vec(), false)));
}

#[test]
fn an_alert_ends_all_whatever_its_level_but_for_two() {
    for level in [0, 1, 2, 255] {
        for description in [1, 10, 20, 40, 80, 89, 100, 255] {
            let (mut forger, mut session) = Forger::of_session(SUITES[0]);
            let mut received = BytesMut::from(&forger.record(21, &[level, description])[..]);
            received.extend_from_slice(&forger.record(23, b"x"));
            let opened = open_all(&mut session, &mut received);
            assert_eq!(opened, Err(Fault::Alerted(description)));
            assert_eq!(session.end(&mut [0; 32]), Ok(0), "nothing is owed");
            let sealed = session.seal(&mut &b"x"[..], &mut [0; 100]);
            assert_eq!(sealed, Err(SealError::Ended));
        }
        for (description, closed, payload) in [(0, true, &b""[..]), (90, false, b"x")] {
            let (mut forger, mut session) = Forger::of_session(SUITES[0]);
            let mut received = BytesMut::from(&forger.record(21, &[level, description])[..]);
            received.extend_from_slice(&forger.record(23, b"x"));
            let opened = open_all(&mut session, &mut received);
            assert_eq!(opened, Ok((payload.to_vec(), closed)));
        }
    }
}

#[test]
fn without_room_the_end_is_not_told_by_half() {
    let mut pair = Pair::new(SUITES[0]);
    let ended = pair.session.end(&mut [0; 23]);
    assert_eq!(ended, Err(crate::KeyError::Seal));
}
