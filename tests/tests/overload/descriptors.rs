//! No descriptor is left, neither for a client nor for anything else.

use std::collections::BTreeSet;
use std::time::Duration;

use gateway_tests::harness::{ALICE, Backend, Gateway, Request, Setup, poll};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{admitted, connect, is_refused, next_tcp};

#[test]
fn clients_leave_descriptors_to_those_who_were_admitted() {
    // Each request needs a new connection to the back-end, and thus a descriptor.
    let backend =
        Backend::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let gateway = Setup::connect(&backend)
        .line("gateway", "workers = 2")
        .prepare()
        .start_by(&["prlimit", "--nofile=80:80"]);
    let mut served: Vec<_> = (0..4).map(|_| admitted(&gateway)).collect();

    // Whoever fills the table, and holds on.
    let attempts = 150;
    let mut held: Vec<_> = (0..attempts)
        .filter_map(|_| connect(&gateway, 2).ok())
        .collect();
    for client in &mut served {
        for _ in 0..5 {
            client.ask(&Request::get("/").by(&ALICE)).expect(200);
        }
    }
    poll::settled("refusals", Duration::from_millis(300), || {
        held.retain_mut(|tcp| !is_refused(tcp, Duration::from_millis(1)));
        held.len()
    });
    assert!((10..70).contains(&held.len()), "{} held", held.len());
    for client in &mut served {
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
    // Operators are served, too.
    let metrics = gateway.metrics();
    let counted = metrics.sum(REFUSED, &[("reason", "descriptors")]);
    assert_eq!(counted, (attempts - held.len()) as f64);
    let failures = metrics.sum(FAILURES, &[]);
    assert_eq!(failures, 0.0);
    let log = gateway.process_log();
    let lines = log.matches("connections refused").count();
    assert!((1..=4).contains(&lines), "{log}");

    // By itself: as soon as those who held on are gone.
    drop(held);
    let mut next = gateway.client_over(next_tcp(&gateway));
    next.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn without_any_descriptor_nothing_spins_and_nobody_waits() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("gateway", "workers = 2")
        .start();
    // Enough to fill the gaps, so that what is kept for bad times lies below the limit.
    let mut served: Vec<_> = (0..40).map(|_| admitted(&gateway)).collect();
    let still = Duration::from_millis(200);
    let most = poll::settled("its descriptors", still, || first_free(&gateway));
    limit_descriptors(&gateway, most);
    let refusals = 50;
    for number in 0..refusals {
        let second = poll::stretched(Duration::from_secs(1));
        let refused = connect(&gateway, 2).map_or(true, |mut tcp| is_refused(&mut tcp, second));
        assert!(refused, "connection {number} waits");
    }
    for client in &mut served {
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
    let (used, still) = (gateway.cpu_time(), Duration::from_millis(500));
    std::thread::sleep(still);
    let used = gateway.cpu_time() - used;
    assert!(used < still / 5, "{used:?} of {still:?}");

    // By itself, as soon as a few have gone: nothing gives the limit back.
    served.truncate(20);
    let mut next = gateway.client_over(next_tcp(&gateway));
    next.ask(&Request::get("/").by(&ALICE)).expect(200);
    let refusals = f64::from(refusals);
    let labels = [("reason", "descriptors")];
    gateway.counted(REFUSED, &labels, refusals);
    // Nothing fails for nobody.
    let failures = gateway.counted(FAILURES, &[], refusals);
    assert!(failures < 1.5 * refusals, "{failures} of {refusals}");
}

#[test]
fn spare_descriptors_that_were_lost_come_before_clients() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("gateway", "workers = 2")
        .start();
    let mut served: Vec<_> = (0..40).map(|_| admitted(&gateway)).collect();
    let still = Duration::from_millis(200);
    let before = poll::settled("its descriptors", still, || {
        open_descriptors(&gateway).len()
    });

    // What is given up lies above the limit: its place is lost, and nobody can be refused.
    limit_descriptors(&gateway, 3);
    let mut waiting: Vec<_> = (0..6).map(|_| connect(&gateway, 2).unwrap()).collect();
    poll::until("all spare ones are lost", || {
        (open_descriptors(&gateway).len() == before - 2).then_some(())
    });
    // Room for one: it is not for the first who is accepted, while all others wait.
    let most = first_free(&gateway) + 1;
    limit_descriptors(&gateway, most);
    for (number, tcp) in waiting.iter_mut().enumerate() {
        assert!(
            is_refused(tcp, poll::patience()),
            "connection {number} waits"
        );
    }
    for client in &mut served {
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
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

/// The lowest number that no descriptor has: the next one gets it.
fn first_free(gateway: &Gateway) -> u64 {
    let open = open_descriptors(gateway);
    (0..).find(|number| !open.contains(number)).unwrap()
}

fn open_descriptors(gateway: &Gateway) -> BTreeSet<u64> {
    let names = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap();
    let number = |name: std::fs::DirEntry| name.file_name().to_str().unwrap().parse();
    names.map(|name| number(name.unwrap()).unwrap()).collect()
}

fn limit_descriptors(gateway: &Gateway, count: u64) {
    let pid = i32::try_from(gateway.pid()).unwrap();
    let limit = Rlimit {
        current: Some(count),
        // Enough to be raised to again, by whoever may not raise this.
        maximum: Some(1024),
    };
    prlimit(Pid::from_raw(pid), Resource::Nofile, limit).unwrap();
}

const REFUSED: &str = "connect_gateway_connections_refused_total";
const FAILURES: &str = "connect_gateway_accept_failures_total";
