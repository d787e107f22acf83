//! No descriptor is left, neither for a client nor for anything else.

use std::collections::BTreeSet;
use std::time::Duration;

use gateway_tests::harness::{ALICE, Backend, Gateway, Request, Setup, poll};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{admitted, is_refused, next_tcp};

#[test]
fn without_descriptors_clients_are_refused_and_admitted_ones_go_on() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("gateway", "workers = 2")
        .start();
    let mut served: Vec<_> = (0..4).map(|_| admitted(&gateway)).collect();
    let room = 10;
    limit_descriptors(&gateway, limit_for(&gateway, room));

    // Whoever fills the table, and holds on.
    let mut held = Vec::new();
    let mut refusals = 0;
    for _ in 0..room + 50 {
        let mut tcp = gateway.tcp_from("127.0.0.2");
        if is_refused(&mut tcp, Duration::from_millis(100)) {
            refusals += 1;
        } else {
            held.push(tcp);
        }
        for client in &mut served {
            client.ask(&Request::get("/").by(&ALICE)).expect(200);
        }
    }
    assert!(held.len() as u64 <= room, "{} of {room}", held.len());
    assert!(refusals >= 50, "{refusals}");

    // Nothing spins while nobody comes, and none is left waiting.
    let (used, still) = (gateway.cpu_time(), Duration::from_millis(500));
    std::thread::sleep(still);
    let used = gateway.cpu_time() - used;
    assert!(used < still / 5, "{used:?} of {still:?}");

    // By itself: as soon as those who held on are gone. Nothing has given the limit back.
    drop(held);
    let mut next = gateway.client_over(next_tcp(&gateway));
    next.ask(&Request::get("/").by(&ALICE)).expect(200);
    let count = f64::from(refusals);
    for (name, labels) in [
        (
            "connections_refused_total",
            &[("reason", "descriptors")][..],
        ),
        ("accept_failures_total", &[]),
    ] {
        let name = format!("connect_gateway_{name}");
        gateway.counted(&name, labels, count);
    }
    let log = gateway.process_log();
    assert!(log.contains("accept failed"), "{log}");
    let lines = log.matches("connections refused").count();
    assert!((1..=2).contains(&lines), "{log}");
}

#[test]
fn the_limit_is_raised_and_too_low_a_one_is_told() {
    let backend = Backend::recording();
    let prepared = Setup::connect(&backend)
        .line("limits", "connections = 5000")
        .prepare();
    let launcher = ["prlimit", "--nofile=512:4096"];
    let finished = prepared.finish_by(&launcher, &["check", "--offline"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let warns = |line: &&str| line.contains("limits.connections = 5000") && line.contains("4096");
    assert!(
        finished.stdout.lines().any(|line| warns(&line)),
        "{finished:?}"
    );

    prepared.edit("connections = 5000", "connections = 1000");
    prepared.edit(
        "name = \"connect\"\n\n[[pool",
        "name = \"connect\"\nin_flight = 100\n[[pool",
    );
    let finished = prepared.finish_by(&launcher, &["check", "--offline"]);
    assert!(!finished.stdout.contains("warning"), "{finished:?}");
    let gateway = prepared.start_by(&launcher);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<_> = line.unwrap().split_ascii_whitespace().collect();
    assert_eq!(numbers[3..5], ["4096", "4096"]);
    assert!(!gateway.process_log().contains("limits.connections"));
}

/// The limit at which so many more can be opened: it bounds their numbers, and there are gaps.
fn limit_for(gateway: &Gateway, room: u64) -> u64 {
    let directory = format!("/proc/{}/fd", gateway.pid());
    let numbers = || -> BTreeSet<u64> {
        let names = std::fs::read_dir(&directory).unwrap();
        let number = |name: std::fs::DirEntry| name.file_name().to_str().unwrap().parse();
        names.map(|name| number(name.unwrap()).unwrap()).collect()
    };
    let open = poll::settled("its descriptors", Duration::from_millis(200), numbers);
    let mut free = (0..).filter(|number| !open.contains(number));
    let first_beyond = free.nth(usize::try_from(room).unwrap());
    first_beyond.unwrap()
}

fn limit_descriptors(gateway: &Gateway, count: u64) {
    let pid = i32::try_from(gateway.pid()).unwrap();
    let limit = Rlimit {
        current: Some(count),
        maximum: Some(count),
    };
    prlimit(Pid::from_raw(pid), Resource::Nofile, limit).unwrap();
}
