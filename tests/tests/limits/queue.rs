//! Requests in flight to a pool, and those that wait.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use gateway_tests::harness::{
    ALICE, App, Backend, Client, Gateway, HANDSHAKE, Leaving, OK, Pool, Request, SWITCHING, Setup,
    poll,
};

#[test]
fn requests_wait_in_line_and_leave_it() {
    let (backend, release) = holding();
    let gateway = gateway(&backend, &["in_flight = 1", "queue = 2"]);
    let ask = |target: &str, waiting: f64| {
        let mut client = gateway.client();
        client.send(&Request::get(target).by(&ALICE).bytes());
        gauges(&gateway, 1.0, waiting);
        client
    };
    let mut first = ask("/1", 0.0);
    let second = ask("/2", 1.0);
    let mut third = ask("/3", 2.0);
    let answer = gateway.ask(&Request::get("/4").by(&ALICE)).expect_json(503);
    assert_eq!(answer.field("retry-after"), Some("1"));
    gateway.counted(REFUSALS, &[("reason", "queue_full")], 1.0);
    gateway.logged("the reason", |line| line["reason"] == "queue_full");

    // Who goes away makes room, and is not sent to the back-end.
    drop(second);
    gauges(&gateway, 1.0, 1.0);
    gateway.logged("the departure", |line| line["path"] == "/2");
    let mut fifth = ask("/5", 2.0);

    for client in [&mut first, &mut third, &mut fifth] {
        release.send(()).unwrap();
        client.answer().expect(200);
    }
    gauges(&gateway, 0.0, 0.0);
    let targets: Vec<_> = backend.take().into_iter().map(|one| one.target).collect();
    assert_eq!(targets, ["/1", "/3", "/5"]);
    // The same connections go on.
    release.send(()).unwrap();
    first.ask(&Request::get("/6").by(&ALICE)).expect(200);
}

/// More than the gateway takes ahead of a turn, so that the client's end lies behind unread bytes.
#[test]
fn who_goes_away_leaves_the_line_whatever_lies_unread() {
    let (backend, release) = holding();
    let lines = ["in_flight = 1", "queue = 1", "queue_wait = \"1m\""];
    let gateway = gateway(&backend, &lines);
    let mut first = gateway.client();
    first.send(&Request::get("/1").by(&ALICE).bytes());
    gauges(&gateway, 1.0, 0.0);
    let waiting = |target| {
        let mut leaving = Leaving::to(&gateway);
        let request = Request::post(target, &[b'x'; 20_000]).by(&ALICE);
        leaving.client.send(&request.bytes());
        gauges(&gateway, 1.0, 1.0);
        leaving
    };
    waiting("/reset").reset();
    gauges(&gateway, 1.0, 0.0);
    let ended = waiting("/ended");
    ended.end();
    gauges(&gateway, 1.0, 0.0);
    for target in ["/reset", "/ended"] {
        let line = gateway.logged("the departure", |line| line["path"] == target);
        let error = line["error"].as_str().unwrap();
        assert!(error.contains("went away while it waited"), "{error}");
    }
    // Who stays is waited for without work, and then served whole.
    let mut patient = gateway.client();
    let body: Vec<_> = (0..50_000_u32).map(|at| (at % 251) as u8).collect();
    patient.send(&Request::post("/patient", &body).by(&ALICE).bytes());
    gauges(&gateway, 1.0, 1.0);
    let before = gateway.cpu_time();
    assert!(patient.is_silent(Duration::from_secs(1)));
    let used = gateway.cpu_time() - before;
    assert!(used < Duration::from_millis(200), "{used:?} of work");
    for client in [&mut first, &mut patient] {
        release.send(()).unwrap();
        client.answer().expect(200);
    }
    gauges(&gateway, 0.0, 0.0);
    drop(ended);
    let requests = backend.take();
    let targets: Vec<_> = requests.iter().map(|one| one.target.as_str()).collect();
    assert_eq!(targets, ["/1", "/patient"]);
    assert!(requests[1].body == body, "another body");
}

#[test]
fn waiting_has_an_end() {
    let (backend, release) = holding();
    let lines = ["in_flight = 1", "queue = 5", "queue_wait = \"500ms\""];
    let gateway = gateway(&backend, &lines);
    let mut first = gateway.client();
    first.send(&Request::get("/1").by(&ALICE).bytes());
    gauges(&gateway, 1.0, 0.0);
    let started = Instant::now();
    let mut second = gateway.client();
    let answer = second.ask(&Request::get("/2").by(&ALICE)).expect_json(503);
    assert!(started.elapsed() >= Duration::from_millis(500));
    assert_eq!(answer.field("retry-after"), Some("1"));
    let page = second.ask(&Request::get("/2").by(&ALICE).navigating());
    assert!(
        page.expect(503)
            .text()
            .contains("<h1>Application busy</h1>")
    );
    gateway.counted(REFUSALS, &[("reason", "queue_timeout")], 2.0);
    // Whoever had the slot is none the worse for it, and then it is free.
    release.send(()).unwrap();
    first.answer().expect(200);
    release.send(()).unwrap();
    second.ask(&Request::get("/3").by(&ALICE)).expect(200);
}

#[test]
fn every_way_out_gives_the_slot_back() {
    let (backend, release) = holding();
    let gateway = gateway(&backend, &["in_flight = 1", "queue = 0"]);
    // Clients that go away, back-ends that fail, tunnels that last.
    let mut gone = gateway.client();
    gone.send(&Request::get("/gone").by(&ALICE).bytes());
    gauges(&gateway, 1.0, 0.0);
    drop(gone);
    gauges(&gateway, 0.0, 0.0);

    gateway
        .ask(&Request::get("/broken").by(&ALICE))
        .expect_json(502);
    gauges(&gateway, 0.0, 0.0);

    let mut tunnel = gateway.client();
    let handshake = Request::get("/tunnel").by(&ALICE).fields(HANDSHAKE);
    let handshake = handshake.field("Origin", "https://connect.test");
    tunnel.send(&handshake.bytes());
    assert_eq!(tunnel.answer_head().status, 101);
    gauges(&gateway, 0.0, 0.0);
    release.send(()).unwrap();
    gateway.ask(&Request::get("/x").by(&ALICE)).expect(200);
    // Control: a request keeps it.
    let mut pending = gateway.client();
    pending.send(&Request::get("/pending").by(&ALICE).bytes());
    gauges(&gateway, 1.0, 0.0);
    gateway.ask(&Request::get("/x").by(&ALICE)).expect_json(503);
    release.send(()).unwrap();
    pending.answer().expect(200);
}

#[test]
fn pools_are_apart() {
    let (full, release) = holding();
    let other = Backend::recording();
    let url = "https://connect.test/other/";
    let gateway = Setup::new()
        .line("gateway", "workers = 1")
        .pool(pool("connect", &full, &["in_flight = 1", "queue = 0"]))
        .pool(Pool::plain("other", other.address()))
        .app(App::connect())
        .app(App::new("other", "generic", url, "staff", "other"))
        .start();
    let mut pending = gateway.client();
    pending.send(&Request::get("/pending").by(&ALICE).bytes());
    gauges(&gateway, 1.0, 0.0);
    gateway.ask(&Request::get("/x").by(&ALICE)).expect(503);
    gateway
        .ask(&Request::get("/other/x").by(&ALICE))
        .expect(200);
    release.send(()).unwrap();
    pending.answer().expect(200);
}

#[test]
fn no_address_has_all_slots() {
    let (backend, release) = holding();
    let gateway = gateway(&backend, &["in_flight = 4", "queue = 16"]);
    let mut hogs: Vec<Client> = (0..18)
        .map(|number| {
            let mut client = gateway.client();
            client.send(&Request::get(&format!("/hog/{number}")).by(&ALICE).bytes());
            gauges(
                &gateway,
                f64::from(number.min(2) + 1),
                f64::from((number - 2).clamp(0, 14)),
            );
            client
        })
        .collect();
    // Neither the last slot nor the last places of the queue are theirs.
    hogs.pop().unwrap().answer().expect(503);
    let mut others: Vec<Client> = (0..2)
        .map(|number| {
            let mut client = gateway.client_over(gateway.tcp_from("127.0.0.2"));
            client.send(&Request::get(&format!("/other/{number}")).by(&ALICE).bytes());
            gauges(&gateway, 4.0, f64::from(14 + number));
            client
        })
        .collect();
    // Each came on a connection of its own, and those are read in any order.
    let mut seen: Vec<_> = poll::until("four requests at the back-end", || {
        let requests = backend.requests();
        (requests.len() >= 4).then(|| requests.into_iter().map(|one| one.target).collect())
    });
    seen.sort();
    assert_eq!(seen, ["/hog/0", "/hog/1", "/hog/2", "/other/0"]);
    for _ in 0..19 {
        release.send(()).unwrap();
    }
    for client in hogs.iter_mut().chain(&mut others) {
        client.answer().expect(200);
    }
    gauges(&gateway, 0.0, 0.0);
}

#[test]
fn each_worker_has_its_share() {
    let (backend, release) = holding();
    let gateway = Setup::new()
        .line("gateway", "workers = 2")
        .pool(pool("connect", &backend, &["in_flight = 2", "queue = 0"]))
        .app(App::connect())
        .start();
    // Connections spread over the workers as the kernel likes: sooner or later both have one.
    let mut pending = Vec::<Client>::new();
    while pending.len() < 2 {
        let mut client = gateway.client();
        client.send(&Request::get("/x").by(&ALICE).bytes());
        let taken = pending.len() as f64;
        let begun = poll::until("a slot or a refusal", || {
            let metrics = gateway.metrics();
            let begun = metrics.sum(IN_FLIGHT, &[]) > taken;
            (begun || !client.is_silent(Duration::from_millis(1))).then_some(begun)
        });
        match begun {
            true => pending.push(client),
            false => drop(client.answer().expect(503)),
        }
    }
    for _ in 0..8 {
        gateway.ask(&Request::get("/y").by(&ALICE)).expect(503);
    }
    for client in &mut pending {
        release.send(()).unwrap();
        release.send(()).unwrap();
        client.answer().expect(200);
    }
}

fn gateway(backend: &Backend, lines: &[&str]) -> Gateway {
    Setup::new()
        .line("gateway", "workers = 1")
        .pool(pool("connect", backend, lines))
        .app(App::connect())
        .start()
}

fn pool(name: &str, backend: &Backend, lines: &[&str]) -> Pool {
    let pool = Pool::plain(name, backend.address());
    lines.iter().fold(pool, |pool, line| pool.line(line))
}

/// Waits until so many requests are in flight and so many wait.
#[track_caller]
fn gauges(gateway: &Gateway, in_flight: f64, queued: f64) {
    poll::until(&format!("{in_flight} in flight, {queued} queued"), || {
        let metrics = gateway.metrics();
        let pool = [("pool", "connect")];
        let now = (metrics.sum(IN_FLIGHT, &pool), metrics.sum(QUEUED, &pool));
        (now == (in_flight, queued)).then_some(())
    });
}

/// A back-end that answers each request when it is let, resets for `/broken`, upgrades `/tunnel`.
fn holding() -> (Backend, Sender<()>) {
    let (release, held): (Sender<()>, Receiver<()>) = channel();
    let held = Mutex::new(held);
    let backend = Backend::scripted(move |conn| {
        while let Some(request) = conn.request() {
            match request.target.as_str() {
                "/broken" => return conn.reset(),
                "/gone" => return drop(conn.read_out()),
                "/tunnel" => {
                    conn.send(SWITCHING);
                    conn.read_out();
                    return;
                }
                _ => {}
            }
            if held.lock().unwrap().recv().is_err() || !conn.send(OK) {
                return;
            }
        }
    });
    (backend, release)
}

const REFUSALS: &str = "connect_gateway_refusals_total";
const IN_FLIGHT: &str = "connect_gateway_upstream_in_flight";
const QUEUED: &str = "connect_gateway_upstream_queued";
