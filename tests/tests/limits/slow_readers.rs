//! Clients that take their answers slowly, and requests for many ranges.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway_tests::harness::{ALICE, Backend, Conn, OK, Request, Setup, poll, scale};

use crate::others::Others;

#[test]
fn a_slow_reader_is_cut() {
    let gone = Arc::new(AtomicUsize::new(0));
    let ended = Arc::clone(&gone);
    let backend = Backend::scripted(move |conn| {
        if flood(conn) {
            ended.fetch_add(1, Ordering::SeqCst);
        }
    });
    let gateway = Setup::connect(&backend)
        .line("limits", "body_rate = 1000000")
        .line("limits", "body_window = \"300ms\"")
        .start();
    let others = Others::on(gateway.client());
    let mut clients: Vec<_> = (0..scale(10, 100)).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(&Request::get("/flood").by(&ALICE).bytes());
        assert_eq!(client.answer_head().status, 200);
    }
    // Half of them take nothing, half take a little.
    poll::until("all are cut", || {
        for client in clients.iter_mut().step_by(2) {
            // The end shows below.
            let _ended = client.read_some(10);
        }
        (gone.load(Ordering::SeqCst) == clients.len()).then_some(())
    });
    gateway.counted(SLOW, &[("direction", "out")], clients.len() as f64);
    let line = gateway.logged("the end", |line| line["path"] == "/flood");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("more slowly than body_rate"), "{error}");
    others.are_served();
}

/// A send buffer takes more only when a third of it is free: what a steady reader takes shows in
/// TCP's acknowledgements long before.
#[test]
fn a_steady_reader_is_not_slow() {
    let backend = Backend::scripted(|conn| {
        flood(conn);
    });
    let gateway = Setup::connect(&backend)
        .line("limits", "body_rate = 20000")
        .line("limits", "body_window = \"1s\"")
        .start();
    let mut client = gateway.client();
    client.send(&Request::get("/flood").by(&ALICE).bytes());
    assert_eq!(client.answer_head().status, 200);
    // 320 KB a second, for eight windows.
    for _ in 0..40 {
        client.skip(65_536);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(gateway.metrics().sum(SLOW, &[]), 0.0);
    client.skip(65_536);
}

/// The gateway makes no ranges itself: what it is asked for it passes on as it is, or refuses.
#[test]
fn requests_for_many_ranges_cost_no_more_than_their_heads() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    let ranges = |count: usize| {
        let parts: Vec<_> = (0..count).map(|n| format!("{n}-")).collect();
        format!("bytes={}", parts.join(","))
    };
    gateway.ask(&Request::get("/fine").by(&ALICE)).expect(200);
    backend.take();
    let others = Others::on(gateway.client());
    let resident = gateway.reset_peak_memory();
    let mut clients: Vec<_> = (0..scale(50, 200)).map(|_| gateway.client()).collect();
    let many = ranges(5000);
    for client in &mut clients {
        let request = Request::get("/ranges").by(&ALICE).field("Range", &many);
        client.ask(&request).expect(200);
        let request = Request::get("/ranges").by(&ALICE);
        client
            .ask(&request.field("Range", &ranges(20_000)))
            .expect(431);
    }
    let received = backend.take();
    let asked = received.iter().filter(|one| one.target == "/ranges");
    assert!(asked.clone().all(|one| one.field("range") == Some(&many)));
    assert_eq!(asked.count(), clients.len());
    let grown = gateway.peak_memory().saturating_sub(resident);
    assert!(grown < 32 << 20, "{grown} bytes more memory");
    others.are_served();
}

/// Sends without end, or answers what is fine; whether it was the former, when it is over.
pub(crate) fn flood(conn: &mut Conn) -> bool {
    while let Some(head) = conn.head() {
        if head.target == "/fine" {
            conn.send(OK);
            continue;
        }
        conn.send(b"HTTP/1.1 200 OK\r\n\r\n");
        while conn.send(&[b'x'; 65_536]) {}
        return true;
    }
    false
}

pub(crate) const SLOW: &str = "connect_gateway_slow_clients_total";
