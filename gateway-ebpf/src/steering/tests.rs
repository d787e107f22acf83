extern crate std;

use std::vec::Vec;

use super::*;

/// Two processes of 4 workers each, one of them with a number that has wrapped.
fn group() -> Group {
    let mut group = Group {
        conceal: CONCEAL,
        prove: PROVE,
        newest: 0,
        ..Group::default()
    };
    for (number, base) in [(OLD, 40), (0, 8)] {
        group.generations[place_of(number)] = Generation {
            base,
            number,
            workers: 4,
        };
    }
    group
}

fn id(generation: u16, worker: u16) -> [u8; LEN] {
    Keys::new(CONCEAL, PROVE).seal(Home { generation, worker }, [7; 8])
}

fn short(id: [u8; LEN]) -> [u8; HEAD] {
    let mut head = [0xa5; HEAD];
    head[0] = 0x40;
    head[1..=LEN].copy_from_slice(&id);
    head
}

fn long(id: &[u8]) -> [u8; HEAD] {
    let mut head = [0x5a; HEAD];
    head[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, id.len() as u8]);
    let within = id.len().min(LEN);
    head[6..6 + within].copy_from_slice(&id[..within]);
    head
}

/// Where it went, and the places that were tried for that. `alive` are the places of sockets.
fn steered(
    group: &Group,
    head: Option<[u8; HEAD]>,
    hash: u32,
    alive: &[u32],
) -> (Steered, Vec<u32>) {
    let mut tried = Vec::new();
    let steered = steer(group, head, hash, |place| {
        tried.push(place);
        alive.contains(&place)
    });
    (steered, tried)
}

#[test]
fn an_id_leads_home_in_either_header_whatever_the_addresses() {
    let group = group();
    for hash in [0, 1, u32::MAX] {
        for (generation, base) in [(0, 8), (OLD, 40)] {
            for worker in 0..4 {
                let id = id(generation, worker);
                for head in [short(id), long(&id)] {
                    let place = base + u32::from(worker);
                    let found = steered(&group, Some(head), hash, &ALL);
                    assert_eq!(found, (Steered::Home, [place].into()));
                }
            }
        }
    }
}

#[test]
fn what_names_no_connection_is_spread_over_the_newest() {
    let group = group();
    let mut forged = id(0, 1);
    forged[15] ^= 1;
    let foreign = Keys::new(PROVE, CONCEAL).seal(
        Home {
            generation: 0,
            worker: 1,
        },
        [7; 8],
    );
    let heads = [
        None,
        Some(short(forged)),
        Some(long(&forged)),
        Some(short(foreign)),
        // A client's first packets have an ID of its own making, of 8 to 20 bytes (RFC 9000 §7.2).
        Some(long(&id(0, 1)[..8])),
        Some(long(&[&id(0, 1)[..], &[1; 4]].concat())),
        Some([0; HEAD]),
        Some([0xff; HEAD]),
    ];
    for head in heads {
        for (hash, place) in [
            (0, 8),
            (QUARTER - 1, 8),
            (QUARTER, 9),
            (2 * QUARTER, 10),
            (u32::MAX, 11),
        ] {
            let found = steered(&group, head, hash, &ALL);
            assert_eq!(found, (Steered::Spread, [place].into()), "{head:?}");
        }
    }
}

#[test]
fn an_id_of_nobody_alive_goes_to_the_newest() {
    let group = group();
    // A generation that never was, one whose place another has, a worker beyond the last.
    for id in [id(1, 0), id(32, 0), id(0, 4), id(OLD, 4)] {
        let found = steered(&group, Some(short(id)), QUARTER, &ALL);
        assert_eq!(found, (Steered::Orphaned, [9].into()));
    }
    // A worker whose socket is closed, of the newest and of an older one.
    let found = steered(&group, Some(short(id(0, 0))), QUARTER, &[9, 10, 11]);
    assert_eq!(found, (Steered::Orphaned, [8, 9].into()));
    let found = steered(&group, Some(short(id(OLD, 2))), QUARTER, &[8, 9, 10, 11]);
    assert_eq!(found, (Steered::Orphaned, [42, 9].into()));
}

#[test]
fn the_dead_are_passed_over() {
    let group = group();
    // Beyond the last worker the first is asked.
    let found = steered(&group, None, u32::MAX, &[9]);
    assert_eq!(found, (Steered::Spread, [11, 8, 9].into()));
    // All of the newest process is gone: the one before it.
    let found = steered(&group, None, 2 * QUARTER, &[41]);
    let tried = [10, 11, 8, 9, 42, 43, 40, 41].into();
    assert_eq!(found, (Steered::Spread, tried));
    let (nowhere, tried) = steered(&group, Some(short(id(0, 0))), 0, &[]);
    assert_eq!((nowhere, tried.len()), (Steered::Unsteered, 9));
    let nobody = steered(&Group::default(), Some(short(id(0, 0))), 0, &ALL);
    assert_eq!(nobody, (Steered::Unsteered, [].into()));
}

/// One worker, and as many as there may be: no place is beyond them.
#[test]
fn places_are_within_the_process() {
    for workers in [1, 2, 3, 5, 253, u16::MAX] {
        let mut group = Group::default();
        group.generations[0] = Generation {
            base: 100,
            number: 0,
            workers,
        };
        for hash in [0, 1, QUARTER, u32::MAX - 1, u32::MAX] {
            let (_, tried) = steered(&group, None, hash, &[]);
            let within = 100..100 + u32::from(workers);
            assert!(tried.iter().all(|place| within.contains(place)));
            assert_eq!(tried.len(), 4);
        }
    }
}

const OLD: u16 = u16::MAX;
const QUARTER: u32 = 1 << 30;
const CONCEAL: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
const PROVE: [u64; 2] = [0x1716_1514_1312_1110, 0x1f1e_1d1c_1b1a_1918];
const ALL: [u32; 8] = [8, 9, 10, 11, 40, 41, 42, 43];
