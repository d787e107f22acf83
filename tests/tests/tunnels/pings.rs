//! The gateway's own pings.

use std::time::{Duration, Instant};

use gateway_tests::harness::{App, Backend, Client, Pool, Setup, poll};

use crate::frame::{PING, PONG, TEXT, masked, plain, read};
use crate::{accept, open};

fn pinging(backend: &Backend, period: &str) -> Setup {
    Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().line(&format!("websocket_ping = \"{period}\"")))
}

/// Reads frames up to the gateway's next ping.
#[track_caller]
fn pinged(client: &mut Client) -> Vec<u8> {
    let (first, payload) = read(client);
    assert_eq!((first, payload.len()), (PING, 8), "{payload:x?}");
    payload
}

#[test]
fn an_idle_client_is_pinged_and_its_pong_stays_here() {
    let backend = Backend::scripted(|conn| {
        if !accept(conn) {
            return;
        }
        if conn.index() > 0 {
            conn.read_out();
            return;
        }
        // Of two answered pings of the gateway's nothing comes, and of everything else all.
        let text = masked(TEXT, b"data");
        assert_eq!(conn.exactly(text.len()), Some(text));
        assert!(conn.send(&plain(PING, b"from afar")));
        let pong = masked(PONG, b"from afar");
        assert_eq!(conn.exactly(pong.len()), Some(pong));
        let unasked = masked(PONG, b"8 bytes!");
        assert_eq!(conn.exactly(unasked.len()), Some(unasked));
        let ping = masked(PING, b"and you?");
        assert_eq!(conn.exactly(ping.len()), Some(ping));
        assert!(conn.send(&plain(PONG, b"and you?")));
        assert_eq!(conn.read_out(), b"");
    });
    let gateway = pinging(&backend, "300ms").start();
    let mut client = open(&gateway);
    let mark = pinged(&mut client);
    client.send(&masked(PONG, &mark));
    assert_eq!(pinged(&mut client), mark);
    // Between two frames, however they arrive.
    let pong = masked(PONG, &mark);
    for byte in &pong {
        client.send(&[*byte]);
    }
    client.send(&[masked(TEXT, b"data"), pong.clone()].concat());
    let answered = |client: &mut Client| loop {
        let frame = read(client);
        if frame != (PING, mark.clone()) {
            return frame;
        }
    };
    assert_eq!(answered(&mut client), (PING, b"from afar".to_vec()));
    client.send(&masked(PONG, b"from afar"));
    client.send(&masked(PONG, b"8 bytes!"));
    client.send(&masked(PING, b"and you?"));
    assert_eq!(answered(&mut client), (PONG, b"and you?".to_vec()));
    client.send(&pong).end_sending();
    gateway.counted(
        "connect_gateway_tunnels_ended_total",
        &[("reason", "closed")],
        1.0,
    );
    // Another connection has another mark.
    assert_ne!(pinged(&mut open(&gateway)), mark);
}

#[test]
fn a_busy_client_is_not_pinged() {
    let backend = Backend::scripted(|conn| {
        if accept(conn) {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(3) {
                assert!(conn.send(&plain(TEXT, b"data")));
                assert!(conn.is_silent(Duration::from_millis(100)));
            }
            assert!(conn.send(&plain(TEXT, b"end")));
            conn.read_out();
        }
    });
    let gateway = pinging(&backend, "1s").start();
    let mut client = open(&gateway);
    loop {
        let (first, payload) = read(&mut client);
        assert_eq!(first, TEXT, "{payload:x?}");
        if payload == b"end" {
            break;
        }
    }
    // And when there is nothing more, it is.
    pinged(&mut client);
}

#[test]
fn a_ping_waits_for_the_end_of_a_frame() {
    let backend = Backend::scripted(|conn| {
        if accept(conn) {
            let frame = plain(0x01, b"fragment");
            assert!(conn.send(&frame[..5]));
            // Several periods.
            assert!(conn.is_silent(Duration::from_secs(1)));
            assert!(conn.send(&frame[5..]));
            conn.read_out();
        }
    });
    let gateway = pinging(&backend, "100ms").start();
    let mut client = open(&gateway);
    assert_eq!(read(&mut client), (0x01, b"fragment".to_vec()));
    pinged(&mut client);
}

#[test]
fn pings_keep_no_idle_tunnel_open() {
    let backend = Backend::scripted(|conn| {
        if accept(conn) {
            assert_eq!(conn.read_out(), b"");
        }
    });
    let gateway = pinging(&backend, "200ms")
        .line("timeouts", "tunnel = \"1s\"")
        .start();
    let mut client = open(&gateway);
    let mark = pinged(&mut client);
    let pong = masked(PONG, &mark);
    let idle = [("reason", "idle")];
    poll::until("the idle tunnel ends", || {
        // It may be over.
        let _over = client.try_send(&pong);
        let ended = gateway.metrics();
        (ended.sum("connect_gateway_tunnels_ended_total", &idle) == 1.0).then_some(())
    });
    // It was pinged more than once.
    assert_eq!(pinged(&mut client), mark);
}
