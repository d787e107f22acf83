//! On the kernel that runs here; `cargo xtask vm` runs them on others.

mod lab;

use std::net::UdpSocket;
use std::os::fd::OwnedFd;

use aya::programs::SkReuseport;
use gateway_ebpf::abi::Steered;
use gateway_ebpf::connection_id::{Home, Keys};
use quinn_udp::{Transmit, UdpSocketState};
use rustix::net::sockopt::set_socket_reuseport;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use self::lab::{Lab, Process, id, keys, long, short};
use crate::sandbox::within_patience;

/// Each ID reaches the worker that it names, from whatever address, and does not without the program.
#[test]
fn each_id_reaches_its_worker_from_everywhere() {
    let Some(mut lab) = Lab::new() else { return };
    for (address, workers) in [
        ("127.0.0.1:0", 2),
        ("127.0.0.1:0", 4),
        ("[::1]:0", 4),
        ("0.0.0.0:0", 4),
        ("[::]:0", 4),
    ] {
        let process = lab.process(address, workers);
        let others = lab.process(address, workers);
        assert_eq!(lab.join(&process, 0), Ok(0));
        assert_eq!(lab.join(&others, 0), Ok(0), "another port is another group");
        let rightly = process.rightly(0);
        assert_eq!(rightly, (200, 200), "{address}");
        let (mut right, all) = (0, 200);
        SkReuseport::detach(&process.sockets[0]).unwrap();
        for _ in 0..2 {
            let (here, of) = process.rightly(0);
            assert_eq!(of, all, "{address}: all arrive somewhere");
            right = right.max(here);
        }
        assert!(
            right < all,
            "{address}: the kernel alone leads them there, too"
        );
    }
}

/// Clients' first packets have IDs of their own, and others may be forged: somebody gets each of
/// them, and everybody some.
#[test]
fn what_names_no_connection_is_spread_and_never_lost() {
    let Some(mut lab) = Lab::new() else { return };
    let process = lab.process("127.0.0.1:0", 4);
    lab.join(&process, 0).unwrap();
    let other = Keys::new([9, 9], [9, 9]);
    let mut reached = [0; 4];
    for nonce in 0..300u64 {
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let home = Home {
            generation: 0,
            worker: 1,
        };
        let mut forged = keys().seal(home, nonce.to_le_bytes());
        forged[8] ^= 0x80;
        let foreign = other.seal(home, nonce.to_le_bytes());
        let packets: [&[u8]; 6] = [
            &short(forged),
            &short(foreign),
            &long(&nonce.to_le_bytes()),
            &long(&[nonce as u8; 20]),
            // No QUIC at all.
            b"x",
            b"",
        ];
        for packet in packets {
            sender.send_to(packet, process.address).unwrap();
            let (worker, got) = process.receive().expect("it arrives");
            assert_eq!(got, packet);
            reached[worker] += 1;
        }
    }
    assert!(reached.iter().all(|count| *count > 100), "{reached:?}");
    assert_eq!(lab.count(Steered::Spread), 1800);
}

/// The old process keeps its connections, the new one gets all others, and who is gone is not missed.
#[test]
fn a_successor_gets_what_is_new_and_nothing_that_is_old() {
    let Some(mut lab) = Lab::new() else { return };
    let old = lab.process("127.0.0.1:0", 2);
    assert_eq!(lab.join(&old, 0), Ok(0));
    // It has bound its sockets, and has not joined: it gets nothing yet.
    let new = lab.process_at(old.address, 4);
    assert_eq!(old.rightly(0), (200, 200));
    assert_eq!(old.strangers(), 100);
    assert_eq!(lab.join(&new, 0), Ok(1));
    assert_eq!(old.rightly(0), (200, 200));
    assert_eq!(new.rightly(1), (200, 200));
    assert_eq!(new.strangers(), 100);

    // A worker of the old one ends: what is for it goes to the new process.
    let Process {
        address,
        mut sockets,
    } = old;
    drop(sockets.remove(1));
    let old = Process { address, sockets };
    let orphaned = lab.count(Steered::Orphaned);
    assert_eq!(new.takes(0, 1), 100);
    assert_eq!(lab.count(Steered::Orphaned), orphaned + 100);
    assert_eq!(old.takes(0, 0), 100);

    // All of it ends: its IDs are those of a dead generation.
    drop(old);
    assert_eq!(new.takes(0, 0), 100);
    lab.steering.look().unwrap();
    assert_eq!(new.takes(0, 0), 100);
    assert_eq!(lab.numbers(), [1]);

    // A successor that fails at once, and one that comes after it.
    let failed = lab.process_at(new.address, 4);
    assert_eq!(lab.join(&failed, 0), Ok(2));
    drop(failed);
    assert_eq!(new.strangers(), 100, "before anybody has looked");
    lab.steering.look().unwrap();
    assert_eq!(new.strangers(), 100);
    assert_eq!(new.rightly(1), (200, 200));
    let next = lab.process_at(new.address, 2);
    assert_eq!(lab.join(&next, 0), Ok(2));
    assert_eq!(next.strangers(), 100);
    assert_eq!(new.rightly(1), (200, 200));
}

/// The kernel may hold datagrams of one sender and one size together (GRO), whatever connections they
/// are of. Here the sender does it, which over lo is the same.
#[test]
fn an_aggregate_goes_whole_to_where_its_first_datagram_belongs() {
    let Some(mut lab) = Lab::new() else { return };
    let old = lab.process("127.0.0.1:0", 2);
    assert_eq!(lab.join(&old, 0), Ok(0));
    let new = lab.process_at(old.address, 2);
    assert_eq!(lab.join(&new, 0), Ok(1));
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let state = UdpSocketState::new((&sender).into()).unwrap();
    for (process, first, second) in [(&old, 0, 1), (&new, 1, 0)] {
        let home = lab.count(Steered::Home);
        let packets = [id(first, 1), id(second, 0), id(first, 0)].map(short);
        let together = Transmit {
            destination: process.address,
            ecn: None,
            contents: packets.as_flattened(),
            segment_size: Some(packets[0].len()),
            src_ip: None,
        };
        state.try_send((&sender).into(), &together).unwrap();
        for packet in packets {
            assert_eq!(process.receive(), Some((1, packet.to_vec())));
        }
        assert_eq!(lab.count(Steered::Home), home + 1, "it was looked at once");
    }
    // Apart, each comes home.
    assert_eq!((old.takes(0, 1), new.takes(1, 0)), (100, 100));
}

#[test]
fn numbers_wrap_and_are_given_once() {
    let Some(mut lab) = Lab::new() else { return };
    let first = lab.process("127.0.0.1:0", 2);
    assert_eq!(lab.join(&first, u16::MAX), Ok(u16::MAX));
    assert_eq!(lab.join(&first, 0), Ok(u16::MAX), "again, without effect");
    let second = lab.process_at(first.address, 2);
    assert_eq!(
        lab.join_fixed(&second, u16::MAX),
        Err("another process is generation 65535".into())
    );
    assert_eq!(lab.join(&second, u16::MAX), Ok(0));
    assert_eq!(second.strangers(), 100);
    assert_eq!(first.rightly(u16::MAX), (200, 200));
    assert_eq!(
        lab.join_fixed(&second, 7),
        Err("these sockets have joined already, as generation 0".into())
    );
    // Who comes back, older than the newest, is not it.
    assert_eq!(lab.join_fixed(&first, u16::MAX), Ok(u16::MAX));
    assert_eq!(second.strangers(), 100);
}

/// A second gateway at the same address, which knows nothing of the first, takes nothing from it.
#[test]
fn nobody_replaces_the_keys_of_who_lives() {
    let Some(mut lab) = Lab::new() else { return };
    let first = lab.process("127.0.0.1:0", 2);
    assert_eq!(lab.join(&first, 0), Ok(0));
    let other = lab.process_at(first.address, 2);
    let keys = lab.keys;
    lab.keys.prove[0] += 1;
    let refused = lab.join(&other, 0).unwrap_err();
    assert!(
        refused.starts_with("a process with other keys has 127.0.0.1:"),
        "{refused}"
    );
    assert_eq!(first.rightly(0), (200, 200));
    assert_eq!(first.strangers(), 100);
    // Once that is gone it may.
    drop(first);
    assert_eq!(lab.join(&other, 0), Ok(0));
    lab.keys = keys;
    assert!(lab.join(&other, 0).is_err());
}

#[test]
fn what_is_no_socket_for_it_is_refused() {
    let Some(mut lab) = Lab::new() else { return };
    let refused = |lab: &mut Lab, sockets: Vec<OwnedFd>, addresses, workers| {
        let address = "127.0.0.1:1".parse().unwrap();
        let process = Process { address, sockets };
        lab.ask(&process, 0, false, addresses, workers).unwrap_err()
    };
    let good = |lab: &mut Lab| lab.process("127.0.0.1:0", 1).sockets.remove(0);
    let alone = UdpSocket::bind("127.0.0.1:0").unwrap().into();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap().into();
    let file = std::fs::File::open("/dev/null").unwrap().into();
    let unbound = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    set_socket_reuseport(&unbound, true).unwrap();
    for (socket, expected) in [
        (
            alone,
            "socket 1: expected SO_REUSEPORT, set before it was bound",
        ),
        (tcp, "socket 1: expected a socket of UDP"),
        (file, "socket 1: expected a socket of UDP"),
        (unbound, "socket 1: expected one that is bound"),
    ] {
        let first = good(&mut lab);
        assert_eq!(refused(&mut lab, vec![first, socket], 2, 1), expected);
    }
    let first = good(&mut lab);
    let twice = vec![first.try_clone().unwrap(), first];
    let expected = "socket 1: expected a socket of its own for each worker";
    assert_eq!(refused(&mut lab, twice, 1, 2), expected);
    let two = vec![good(&mut lab), good(&mut lab)];
    let expected = "socket 1: expected the sockets of all workers of one address, then the next";
    assert_eq!(refused(&mut lab, two, 1, 2), expected);
    for (count, announced) in [(1, 2), (0, 0)] {
        let sockets = (0..count).map(|_| good(&mut lab)).collect();
        let why = refused(&mut lab, sockets, 1, announced);
        assert!(why.starts_with(&format!("{count} sockets came")), "{why}");
    }
    assert_eq!(lab.numbers(), [0; 0]);
    // A process with two addresses has one number, and places for both.
    let [mut one, mut two] = [2, 2].map(|workers| lab.process("127.0.0.1:0", workers));
    let (first, second) = (one.address, two.address);
    one.sockets.append(&mut two.sockets);
    assert_eq!(lab.ask(&one, 4, false, 2, 2), Ok(4));
    let sockets = one.sockets.split_off(2);
    let two = Process {
        address: second,
        sockets,
    };
    assert_eq!(one.address, first);
    assert_eq!((one.rightly(4), two.rightly(4)), ((200, 200), (200, 200)));
}

/// It goes on without the service, and the next one, which finds no pins, takes the sockets over.
#[test]
fn sockets_outlive_the_service() {
    let Some(mut lab) = Lab::new() else { return };
    let process = lab.process("127.0.0.1:0", 4);
    lab.join(&process, 0).unwrap();
    drop(std::mem::replace(&mut lab, Lab::new().unwrap()));
    assert_eq!(
        process.rightly(0),
        (200, 200),
        "nobody is there, and it holds"
    );
    let busy = "an earlier service has these sockets; it was told to let them go: try again";
    assert_eq!(lab.join_fixed(&process, 0), Err(busy.into()));
    let joined = within_patience(|| match lab.join_fixed(&process, 0) {
        Err(why) if why == busy => None,
        joined => Some(joined),
    });
    assert_eq!(joined, Some(Ok(0)));
    assert_eq!(process.rightly(0), (200, 200));
}

/// The program runs once for each datagram. What that costs, by the kernel's statistics, is told and
/// not judged: in a machine that emulates a processor it means nothing.
#[test]
fn each_datagram_is_looked_at_once() {
    let Some(mut lab) = Lab::new() else { return };
    let _statistics = aya::sys::enable_stats(aya::sys::Stats::RunTime).unwrap();
    let process = lab.process("127.0.0.1:0", 4);
    lab.join(&process, 0).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (what, packet) in [
        ("by its ID", short(id(0, 3)).to_vec()),
        ("by its addresses", long(&[1; 8]).to_vec()),
    ] {
        let mut best = u64::MAX;
        for _ in 0..10 {
            let (runs, time) = lab.runs();
            for _ in 0..200 {
                sender.send_to(&packet, process.address).unwrap();
                process.receive().unwrap();
            }
            let (now, took) = lab.runs();
            assert_eq!(now - runs, 200);
            best = best.min((took - time) / 200);
        }
        eprintln!("a datagram {what}: {best} ns, the measuring included");
    }
}
