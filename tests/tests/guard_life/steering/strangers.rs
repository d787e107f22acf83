//! Packets that are not for whoever gets them.

use std::net::UdpSocket;

use gateway_tests::harness::{ALICE, Random, Request, poll, scale, seed};

use super::site::{PLACES, PUBLIC, Site, UPLOAD, body};
use super::tap::Tap;
use crate::life::Life;

/// Nobody can end a connection, nor be brought to its worker, by what he makes up, in his own name or
/// in the client's. Under its true ID he gets to the worker, and no further.
#[test]
fn what_is_made_up_ends_no_connection() {
    let Some(life) = Life::new() else { return };
    let site = Site::new(&life, 4);
    let _guard = life.start();
    let _gateway = site.start();
    assert!(site.is_steered());
    let gateway = PUBLIC[0].parse().unwrap();
    let tap = site.inside(|| Tap::to(gateway));
    let stranger = site.inside(|| UdpSocket::bind((PLACES[0][1], 0)).unwrap());
    let client = site.client_to(tap.address());
    let (first, rest) = body(UPLOAD).split_at(UPLOAD / 2);
    let mut stream = site.upload(&client);
    stream.send_data(first);
    poll::until("the first half is there", || {
        (site.uploaded() == first.len() as u64).then_some(())
    });

    let mut random = Random::new(seed(), 0);
    let counts = || ["home", "spread", "orphaned", "unsteered"].map(|to| site.datagrams(to));
    let before = counts();
    let rounds = scale(30, 1000);
    for _ in 0..rounds {
        let id = tap.id();
        let mut forged = id;
        forged[random.below(16)] ^= 1 << random.below(8);
        let any: [u8; 20] = std::array::from_fn(|_| random.number() as u8);
        for packet in [
            short(&forged),
            long(&forged),
            short(&any[..16]),
            long(&any[..16]),
            long(&any[..8]),
            long(&any),
            // Its own, with nothing that could be authentic.
            short(&id),
            long(&id),
        ] {
            tap.send(&[&packet]);
            stranger.send_to(&packet, gateway).unwrap();
        }
    }
    let after = counts();
    let [home, spread, orphaned, unsteered] =
        std::array::from_fn(|kind| (after[kind] - before[kind]) as usize);
    assert!(home >= 4 * rounds, "{home}");
    assert_eq!((spread, orphaned, unsteered), (12 * rounds, 0, 0));

    stream.send_data(rest).finish();
    stream.read_answer().expect("an answer").expect(200);
    assert_eq!(site.strays(), 0);
}

/// The kernel may hold packets together that are for several workers (GRO), and brings all of them to
/// the first one's. That worker has no such connections, and must not say so: a stateless reset would
/// end them.
#[test]
fn packets_that_come_with_another_workers_end_no_connection() {
    let Some(life) = Life::new() else { return };
    let site = Site::new(&life, 4);
    let _guard = life.start();
    let _gateway = site.start();
    assert!(site.is_steered());
    let gateway = PUBLIC[0].parse().unwrap();
    // That all of them are one worker's is as good as impossible.
    let taps: Vec<_> = (0..12).map(|_| site.inside(|| Tap::to(gateway))).collect();
    let clients: Vec<_> = taps
        .iter()
        .map(|tap| site.client_to(tap.address()))
        .collect();
    let request = Request::get("/").by(&ALICE);
    for client in &clients {
        client.ask(&request).expect(200);
    }
    assert_eq!(site.strays(), 0);
    let (one, others) = taps.split_first().unwrap();
    let rounds = scale(5, 100);
    for _ in 0..rounds {
        for other in others {
            let (first, second) = (short(&one.id()), short(&other.id()));
            other.send(&[&first, &second]);
            one.send(&[&second, &first]);
        }
    }
    poll::until("the second ones are noticed", || {
        (site.strays() >= 2 * rounds as u64).then_some(())
    });
    for client in &clients {
        client.ask(&request).expect(200);
    }
}

/// A packet with a short header (RFC 9000 §17.3) and no content that could be authentic.
fn short(id: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x55; 64];
    packet[1..1 + id.len()].copy_from_slice(id);
    packet
}

/// An Initial packet (RFC 9000 §17.2.2) and the same.
fn long(id: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xc3, 0, 0, 0, 1, id.len() as u8];
    packet.extend(id);
    packet.resize(1200, 0x55);
    packet
}
