//! Stock rustls as the oracle: a session makes of a client's records what a stock server makes of
//! them, whatever they are.

use bytes::BytesMut;
use proptest::prelude::*;
use proptest::sample::select;

use super::support::{Forger, SUITES, open_all, told_server};
use crate::KEY_UPDATE;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_session_makes_of_records_what_a_stock_server_does(
        suite in select(&SUITES[..]),
        deeds in prop::collection::vec(deed(), 1..8),
    ) {
        let (mut forger, mut server) = Forger::of_stock(suite);
        let stock = outcome(&mut forger, &deeds, |record| {
            told_server(&mut server, record).map_err(|_| ())
        });
        let mut answer = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut answer).unwrap();
        }
        let stock_alert = forger.alert_in(&answer);

        let (mut forger, mut session) = Forger::of_session(suite);
        let mut received = BytesMut::new();
        let ours = outcome(&mut forger, &deeds, |record| {
            received.extend_from_slice(record);
            open_all(&mut session, &mut received).map_err(|_| ())
        });
        let alert = match ours.end {
            End::Failed => {
                let mut out = [0; 32];
                let used = session.end(&mut out).unwrap();
                forger.alert_in(&out[..used])
            }
            End::Closed | End::Open => None,
        };
        prop_assert_eq!(ours, stock);
        // Not always the same alert: for content types that it does not know, rustls has
        // decode_error, where RFC 8446 §5 has unexpected_message; and sometimes it has none.
        prop_assert!(alert.is_some() || stock_alert.is_none(), "not {stock_alert:?}");
    }
}

/// One record of a client that knows its keys.
#[derive(Clone, Debug)]
enum Deed {
    /// A key update in two records, after which the next key seals.
    CutUpdate(usize),
    /// As it is sealed.
    Honest(u8, Vec<u8>),
    /// With one bit changed, behind the version: which rustls does not look at.
    Tampered(Vec<u8>, prop::sample::Index, u8),
    /// A key update, after which the next key seals.
    Update(u8),
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    payload: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Closed,
    Failed,
    Open,
}

fn outcome(
    forger: &mut Forger,
    deeds: &[Deed],
    mut peer: impl FnMut(&[u8]) -> Result<(Vec<u8>, bool), ()>,
) -> Outcome {
    let mut payload = Vec::new();
    for deed in deeds {
        let record = match deed {
            Deed::CutUpdate(place) => {
                let (first, second) = KEY_UPDATE.split_at(*place);
                let records = [forger.record(22, first), forger.record(22, second)];
                forger.update();
                records.concat()
            }
            Deed::Honest(kind, content) => forger.record(*kind, content),
            Deed::Tampered(content, place, bit) => {
                let mut record = forger.record(23, content);
                let place = 3 + place.index(record.len() - 3);
                record[place] ^= bit;
                // The rest of a record that claims to be longer.
                record.resize(5 + usize::from(u16::MAX), 0);
                record
            }
            Deed::Update(request) => {
                let record = forger.record(22, &[24, 0, 0, 1, *request]);
                forger.update();
                record
            }
        };
        match peer(&record) {
            Ok((more, false)) => payload.extend(more),
            Ok((more, true)) => {
                payload.extend(more);
                return Outcome {
                    payload,
                    end: End::Closed,
                };
            }
            Err(()) => {
                return Outcome {
                    payload,
                    end: End::Failed,
                };
            }
        }
    }
    Outcome {
        payload,
        end: End::Open,
    }
}

/// Alerts have the levels that RFC 8446 §6 gives them: rustls judges others, which the RFC says to
/// ignore. No handshake message is empty, which rustls lets pass against §5.4, and none is left
/// cut: rustls waits for the rest of what it will refuse.
fn deed() -> impl Strategy<Value = Deed> {
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    let data = || bytes(60).prop_map(|content| Deed::Honest(23, content));
    prop_oneof![
        8 => data(),
        2 => (bytes(60), 0..60_usize).prop_map(|(mut content, padding)| {
            content.push(23);
            content.resize(content.len() + padding, 0);
            Deed::Honest(0, content)
        }),
        4 => (0..3_u8).prop_map(Deed::Update),
        2 => (bytes(60), any::<prop::sample::Index>(), 0..8_u8)
            .prop_map(|(content, place, bit)| Deed::Tampered(content, place, 1 << bit)),
        1 => select(&[(1, 0), (1, 90), (2, 20), (2, 40), (2, 200)][..])
            .prop_map(|(level, description)| Deed::Honest(21, vec![level, description])),
        1 => bytes(4).prop_filter("an alert", |content| content.len() != 2)
            .prop_map(|content| Deed::Honest(21, content)),
        2 => (any::<u8>(), bytes(8)).prop_map(|(kind, body)| {
            let length = u8::try_from(body.len()).unwrap();
            Deed::Honest(22, [&[kind, 0, 0, length], &body[..]].concat())
        }),
        1 => (1..5_usize).prop_map(Deed::CutUpdate),
        1 => (any::<u8>(), bytes(8))
            .prop_filter("these are above", |(kind, _)| ![21, 22].contains(kind))
            .prop_map(|(kind, content)| Deed::Honest(kind, content)),
    ]
}
