//! Payload in both directions: any sizes, any pieces, key updates in between.

use bytes::{Buf, Bytes, BytesMut};
use proptest::prelude::*;
use proptest::sample::select;

use super::support::{Pair, SUITES, sent_by, small_records, write};
use crate::{MAX_PAYLOAD, OVERHEAD, Received};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_a_client_sends_arrives(
        suite in select(&SUITES[..]),
        record in select(&[33_usize, 64, 100, 1000, MAX_PAYLOAD + 5][..]),
        messages in prop::collection::vec((payload(), any::<bool>()), 1..5),
        pieces in prop::collection::vec(1_usize..20_000, 1..20),
    ) {
        let mut pair = Pair::with(&small_records(suite, record));
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for (message, update) in &messages {
            write(&mut pair.client, message);
            expected.extend_from_slice(message);
            if *update {
                pair.client.refresh_traffic_keys().unwrap();
            }
            sent.extend(sent_by(&mut pair.client));
        }
        pair.client.send_close_notify();
        sent.extend(sent_by(&mut pair.client));
        let (mut payload, mut closed) = (Vec::new(), false);
        let (mut rest, mut pieces) = (&sent[..], pieces.iter().cycle());
        while !rest.is_empty() {
            prop_assert!(!closed);
            let (piece, later) = rest.split_at((*pieces.next().unwrap()).min(rest.len()));
            rest = later;
            pair.received.extend_from_slice(piece);
            let (more, end) = pair.open_all().unwrap();
            payload.extend(more);
            closed = end;
        }
        prop_assert!(closed);
        prop_assert_eq!(payload, expected);
    }

    #[test]
    fn what_is_sealed_arrives_at_a_client(
        suite in select(&SUITES[..]),
        messages in prop::collection::vec((prop::collection::vec(payload(), 1..5), any::<bool>()), 1..5),
        records in 1_usize..5,
        limit in 3_u64..20,
    ) {
        let mut pair = Pair::new(suite);
        for (pieces, update) in messages {
            if update {
                pair.client.refresh_traffic_keys().unwrap();
                write(&mut pair.client, b"x");
                let sent = sent_by(&mut pair.client);
                pair.received.extend_from_slice(&sent);
                prop_assert_eq!(pair.open_all(), Ok((b"x".to_vec(), false)));
            }
            pair.session.wear(limit);
            let expected = pieces.concat();
            let sealed = pair.sealed(Pieces::of(pieces), records);
            prop_assert_eq!(pair.told(&sealed).unwrap(), expected);
        }
        let end = pair.ended();
        prop_assert_eq!(pair.told(&end), Ok(Vec::new()));
        let state = pair.client.process_new_packets().unwrap();
        prop_assert!(state.peer_has_closed());
    }
}

/// Each split of a record: nothing comes before it is whole, and how much is missing is right.
#[test]
fn a_record_is_opened_when_its_last_byte_is_there() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        for split in 0..64 + OVERHEAD {
            write(&mut pair.client, &[7; 64]);
            let sent = sent_by(&mut pair.client);
            let (first, second) = sent.split_at(split);
            let mut received = BytesMut::from(first);
            let Received::NeedMore(missing) = pair.session.open(&mut received).unwrap() else {
                panic!("opened too early, at {split}");
            };
            let known = if split < 5 { 5 } else { sent.len() };
            assert_eq!(missing, known - split);
            assert_eq!(&received[..], first);
            received.extend_from_slice(second);
            let opened = pair.session.open(&mut received);
            assert_eq!(opened, Ok(Received::Data(BytesMut::from(&[7; 64][..]))));
            assert!(received.is_empty());
        }
    }
}

#[test]
fn payload_stays_where_it_was_received() {
    let mut pair = Pair::new(SUITES[0]);
    write(&mut pair.client, &[7; 100]);
    let sent = sent_by(&mut pair.client);
    let mut received = BytesMut::from(&sent[..]);
    let place = received.as_ptr() as usize + 5;
    let Ok(Received::Data(data)) = pair.session.open(&mut received) else {
        panic!("not opened");
    };
    assert_eq!(data.as_ptr() as usize, place);
}

#[test]
fn one_write_takes_as_many_full_records_as_it_has_room_for() {
    let mut pair = Pair::new(SUITES[0]);
    let mut payload = Bytes::from(vec![7; 5 * MAX_PAYLOAD]);
    let mut out = vec![0; crate::room_for(4)];
    let used = pair.session.seal(&mut payload, &mut out).unwrap();
    assert_eq!(used, 4 * (MAX_PAYLOAD + OVERHEAD));
    assert_eq!(payload.len(), MAX_PAYLOAD);
    let used = pair
        .session
        .seal(&mut payload, &mut out[..OVERHEAD])
        .unwrap();
    assert_eq!((used, payload.len()), (0, MAX_PAYLOAD));
    let used = pair.session.seal(&mut Bytes::new(), &mut out).unwrap();
    assert_eq!(used, 0, "nothing is sealed as nothing");
}

/// Sizes around what matters: nothing, a record, two.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let around = |size: usize| size - 2..size + 3;
    let size = prop_oneof![
        0..200_usize,
        around(MAX_PAYLOAD),
        around(2 * MAX_PAYLOAD),
        0..3 * MAX_PAYLOAD,
    ];
    (size, any::<u8>()).prop_map(|(size, first)| {
        let numbers = std::iter::successors(Some(first), |last| Some(last.wrapping_mul(31) ^ 7));
        numbers.take(size).collect()
    })
}

/// Payload in several pieces, as a queue of slices has it.
struct Pieces(Vec<Bytes>);

impl Pieces {
    fn of(pieces: Vec<Vec<u8>>) -> Self {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        Self(pieces.map(Bytes::from).rev().collect())
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.last().map_or(&[], |piece| piece)
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let piece = self.0.last_mut().unwrap();
            let step = count.min(piece.len());
            piece.advance(step);
            count -= step;
            if piece.is_empty() {
                self.0.pop();
            }
        }
    }
}
