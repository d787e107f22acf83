//! Clients that send slowly: heads, bodies, and what only looks slow.

use std::time::{Duration, Instant};

use gateway_tests::harness::{ALICE, Backend, Client, Gateway, Request, Setup, poll, scale};
use gateway_tests::relay::{Fault, Order, Relay, Way};

use crate::others::Others;

#[test]
fn a_slow_head_ends_in_time() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("timeouts", "head = \"3s\"")
        .start();
    let others = Others::on(gateway.client());
    let started = Instant::now();
    let begun = |_| {
        let mut client = gateway.client();
        client.send(b"GET /slow HTTP/1.1\r\nHost: connect.test\r\n");
        client
    };
    let mut clients: Vec<_> = (0..scale(20, 200)).map(begun).collect();
    // Every one of them goes on sending fields, as slowhttptest does.
    let mut open: Vec<_> = clients.iter_mut().collect();
    poll::until("all slow heads are noticed", || {
        open.retain_mut(|client| {
            let sent = client.try_send(b"X-a: b\r\n").is_ok();
            sent && client.is_silent(Duration::from_millis(5))
        });
        open.is_empty().then_some(())
    });
    assert!(started.elapsed() >= Duration::from_secs(3));
    for client in &mut clients {
        client.answer().expect_json(408);
    }
    gateway.counted(
        REFUSALS,
        &[("reason", "head_timeout")],
        clients.len() as f64,
    );
    others.are_served();
    assert!(!backend.saw(b"/slow"));
}

#[test]
fn a_slow_body_is_refused() {
    let backend = Backend::recording();
    // 3,000 bytes in each window.
    let gateway = limited(&backend, 10_000, "300ms");
    let others = Others::on(gateway.client());
    for (count, framing, part) in [
        (1.0, ("Content-Length", "100000"), &b"x"[..]),
        (2.0, ("Transfer-Encoding", "chunked"), b"1\r\nx\r\n"),
    ] {
        let request = Request::new("POST", "/slow").by(&ALICE);
        let mut client = gateway.client();
        client.send(&request.field(framing.0, framing.1).bytes());
        trickle(&mut client, part);
        let answer = client.answer().expect_json(408);
        assert_eq!(answer.field("connection"), Some("close"));
        gateway.counted(REFUSALS, &[("reason", "body_too_slow")], count);
        gateway.counted(SLOW, &[("direction", "in")], count);
    }
    gateway.logged("the reason", |line| {
        line["path"] == "/slow" && line["reason"] == "body_too_slow"
    });
    others.are_served();
    assert!(
        backend
            .requests()
            .iter()
            .all(|one| one.target != "/slow" || !one.complete)
    );
}

/// What came before counts, but no longer than silence may last.
#[test]
fn a_body_that_stops_is_refused_whatever_came_before() {
    let backend = Backend::recording();
    let gateway = short_of_silence(&backend);
    let mut client = gateway.client();
    let request = Request::new("POST", "/stops").by(&ALICE);
    client.send(&request.field("Content-Length", "100000000").bytes());
    client.send(&vec![b'x'; MINUTES]);
    let stopped = Instant::now();
    client.answer().expect_json(408);
    // Two seconds, less a window.
    let silent = stopped.elapsed();
    assert!(silent > Duration::from_millis(1600), "{silent:?}");
    gateway.counted(REFUSALS, &[("reason", "body_timeout")], 1.0);
}

#[test]
fn what_one_request_has_used_up_does_not_count_for_the_next() {
    let backend = Backend::recording();
    let gateway = short_of_silence(&backend);
    let mut client = gateway.client();
    let begin = Request::new("POST", "/x").by(&ALICE);
    let begin = begin.field("Content-Length", "1").bytes();
    let body = vec![b'x'; MINUTES];
    client
        .ask(&Request::post("/x", &body).by(&ALICE))
        .expect(200);
    client.send(&begin);
    assert!(client.is_silent(Duration::from_millis(1700)));
    client.send(b"x").answer().expect(200);
    client.send(&begin);
    client.answer().expect_json(408);
    gateway.counted(REFUSALS, &[("reason", "body_too_slow")], 1.0);
}

/// Whoever has its answer may stop sending (RFC 9112 §9.5), and nobody else is to be held up by how
/// it does so.
#[test]
fn behind_an_answer_no_body_is_slow() {
    let backend = Backend::scripted(|conn| {
        if conn.head().is_none() {
            return;
        }
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun");
        // For so long it works on the rest: many windows, and longer than a body may stand still.
        std::thread::sleep(SLOWNESS);
        conn.send(b"ended");
    });
    let gateway = Setup::connect(&backend)
        .line("timeouts", "body = \"500ms\"")
        .line("limits", "body_rate = 10_000\nbody_window = \"200ms\"")
        .start();
    for (target, trickles) in [("/stops", false), ("/trickles", true)] {
        let mut client = gateway.client();
        let request = Request::new("POST", target).by(&ALICE);
        client.send(&request.field("Content-Length", "100000").bytes());
        client.send(b"begun");
        assert_eq!(client.answer_head().status, 200);
        assert_eq!(client.raw(5), b"begun");
        if trickles {
            trickle(&mut client, b"x");
        }
        assert_eq!(client.raw(5), b"ended");
        client.expect_clean_end();
        let line = gateway.logged("the whole of it", |line| line["path"] == target);
        assert!(line["error"].is_null(), "{line}");
    }
    assert_eq!(gateway.metrics().sum(SLOW, &[]), 0.0);
}

/// A record is decrypted when it is whole, so that no byte of it shows before; the rate is that of
/// the bytes on the wire.
#[test]
fn a_steady_upload_is_not_slow() {
    let backend = Backend::recording();
    // 200 bytes in each window; of plaintext there are none in most.
    let gateway = limited(&backend, 400, "500ms");
    // 4,000 bytes a second: 16 KiB, one record, in four seconds.
    let relay = throttled(&gateway, 200, Duration::from_millis(50));
    let mut client = gateway.client_by(relay.address());
    let body = vec![b'x'; 16_000];
    let request = Request::new("POST", "/steady").by(&ALICE);
    let started = Instant::now();
    client.send(&request.field("Content-Length", "16000").bytes());
    client.send(&body);
    client.answer().expect(200);
    assert!(
        started.elapsed() > Duration::from_secs(3),
        "it was not slow"
    );
    assert_eq!(backend.one().body, body);
    assert_eq!(gateway.metrics().sum(SLOW, &[]), 0.0);
}

/// That a back-end is slow, to take a body or to answer, is not the client's fault.
#[test]
fn a_slow_back_end_is_not_the_clients_fault() {
    let backend = Backend::scripted(|conn| {
        let Some(head) = conn.head() else { return };
        std::thread::sleep(SLOWNESS);
        conn.body_of(&head).unwrap();
        std::thread::sleep(SLOWNESS);
        conn.send(gateway_tests::harness::OK);
    });
    let gateway = limited(&backend, 1_000_000, "200ms");
    let mut client = gateway.client();
    // More than the buffers between here and there hold.
    let body = vec![b'x'; 32 << 20];
    client
        .ask(&Request::post("/x", &body).by(&ALICE))
        .expect(200);
    assert_eq!(gateway.metrics().sum(SLOW, &[]), 0.0);
}

#[test]
fn without_a_rate_any_will_do() {
    let backend = Backend::recording();
    let gateway = limited(&backend, 0, "100ms");
    let mut client = gateway.client();
    let request = Request::new("POST", "/x").by(&ALICE);
    client.send(&request.field("Content-Length", "10").bytes());
    for _ in 0..9 {
        client.send(b"x");
        assert!(client.is_silent(Duration::from_millis(100)));
    }
    client.send(b"x");
    client.answer().expect(200);
}

/// With a rate that comes to 100,000 bytes in the two seconds that silence may last.
fn short_of_silence(backend: &Backend) -> Gateway {
    Setup::connect(backend)
        .line("limits", "body_rate = 50000")
        .line("limits", "body_window = \"300ms\"")
        .line("timeouts", "body = \"2s\"")
        .start()
}

fn limited(backend: &Backend, rate: u32, window: &str) -> Gateway {
    Setup::connect(backend)
        .line("limits", &format!("body_rate = {rate}"))
        .line("limits", &format!("body_window = \"{window}\""))
        .start()
}

/// Sends a little again and again, until something comes back or the connection ends.
#[track_caller]
fn trickle(client: &mut Client, part: &[u8]) {
    poll::until("the slow body is noticed", || {
        let goes_on = client.try_send(part).is_ok() && client.is_silent(Duration::from_millis(20));
        (!goes_on).then_some(())
    });
}

/// A relay that passes so many bytes of a client's, and then waits, again and again.
fn throttled(gateway: &Gateway, bytes: u64, pause: Duration) -> Relay {
    // More than any body here has.
    let pauses = (1..1000).map(move |number| Order {
        way: Way::Up,
        after: number * bytes,
        fault: Fault::Delay(pause),
    });
    Relay::scripted(gateway.address(), move |_| pauses.clone().collect())
}

/// Bytes that such a rate would need longer for than any test waits.
const MINUTES: usize = 10_000_000;

/// Several windows.
const SLOWNESS: Duration = Duration::from_millis(1500);

const REFUSALS: &str = "connect_gateway_refusals_total";
const SLOW: &str = "connect_gateway_slow_clients_total";
