//! Tunnels that the gateway ends: with their session, or because it drains.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use gateway_tests::harness::{ALICE, Backend, Conn, Gateway, Setup, poll};

use crate::frame::{CLOSE, PONG, TEXT, masked, plain, read, status};
use crate::{accept, open};

/// A gateway whose sessions last for so long.
fn sessions_of(backend: &Backend, idle: &str, lifetime: &str) -> Gateway {
    let lines = [
        format!("session_idle = \"{idle}\""),
        format!("session_lifetime = \"{lifetime}\""),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    Setup::connect(backend)
        .realm("staff", &[ALICE], &lines)
        .start()
}

/// A back-end that takes a handshake, runs a script, and tells what came until its end.
fn telling(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> (Backend, Receiver<Vec<u8>>) {
    let (tell, told): (Sender<Vec<u8>>, _) = channel();
    let tell = Mutex::new(tell);
    let backend = Backend::scripted(move |conn| {
        if accept(conn) {
            script(conn);
            let came = conn.read_out();
            // The test may be over.
            let _over = tell.lock().unwrap().send(came);
        }
    });
    (backend, told)
}

#[track_caller]
fn ended(gateway: &Gateway, reason: &str, error: &str) {
    gateway.counted(
        "connect_gateway_tunnels_ended_total",
        &[("reason", reason)],
        1.0,
    );
    let ended = gateway
        .metrics()
        .sum("connect_gateway_tunnels_ended_total", &[]);
    assert_eq!(ended, 1.0);
    assert_eq!(
        gateway.metrics().sum("connect_gateway_tunnels_open", &[]),
        0.0
    );
    let line = gateway.logged("the tunnel", |line| line["path"] == "/ws");
    assert_eq!(line["error"].as_str(), Some(error), "{line}");
}

const BY_SESSION: &str = "closed, because the visitor's session ended";

#[test]
fn a_tunnel_ends_with_its_session() {
    let (backend, told) = telling(|conn| {
        assert!(conn.send(&plain(TEXT, b"hello")));
    });
    let gateway = sessions_of(&backend, "2s", "2s");
    let begun = Instant::now();
    let mut client = open(&gateway);
    assert_eq!(read(&mut client), (TEXT, b"hello".to_vec()));
    // Use does not lengthen a session's life.
    client.send(&masked(TEXT, b"used"));
    let close = read(&mut client);
    assert!(begun.elapsed() > Duration::from_millis(1900), "too soon");
    assert_eq!(close, (CLOSE, status(1008, "the session ended")));
    // The client's answer reaches the back-end, so that it sees an end in order, too.
    let answer = masked(CLOSE, &close.1);
    client.send(&answer);
    client.expect_clean_end();
    let came = told.recv_timeout(poll::patience()).unwrap();
    assert_eq!(came, [masked(TEXT, b"used"), answer].concat());
    ended(&gateway, "session", BY_SESSION);
}

#[test]
fn data_from_the_client_keeps_a_session_and_pongs_do_not() {
    let (backend, _told) = telling(|_| {});
    let gateway = sessions_of(&backend, "2s", "1h");
    let mut client = open(&gateway);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(4500) {
        client.send(&masked(TEXT, b"x"));
        assert!(client.is_silent(Duration::from_millis(250)), "too soon");
    }
    let idle = Instant::now();
    while client.is_silent(Duration::from_millis(250)) {
        client.send(&masked(PONG, b"x"));
        assert!(idle.elapsed() < poll::patience(), "never");
    }
    assert!(idle.elapsed() > Duration::from_millis(1700), "too soon");
    assert_eq!(
        read(&mut client),
        (CLOSE, status(1008, "the session ended"))
    );
}

#[test]
fn a_close_frame_stands_between_two_frames() {
    let (backend, _told) = telling(|conn| {
        let frame = plain(TEXT, b"whole");
        assert!(conn.send(&frame[..4]));
        // Past the session's end, within what a closing may take.
        std::thread::sleep(Duration::from_millis(1800));
        // Nor is the frame over with what comes next.
        assert!(conn.send(&frame[4..5]));
        std::thread::sleep(Duration::from_millis(100));
        assert!(conn.send(&[&frame[5..], &plain(TEXT, b"too late")].concat()));
    });
    let gateway = sessions_of(&backend, "1s", "1s");
    let mut client = open(&gateway);
    assert_eq!(read(&mut client), (TEXT, b"whole".to_vec()));
    assert_eq!(
        read(&mut client),
        (CLOSE, status(1008, "the session ended"))
    );
    client.send(&masked(CLOSE, b""));
    client.expect_clean_end();
    ended(&gateway, "session", BY_SESSION);
}

#[test]
fn what_cannot_be_closed_in_time_is_cut() {
    let cut = "cut, because the visitor's session ended";
    // A frame that never ends.
    let (backend, _told) = telling(|conn| assert!(conn.send(&plain(TEXT, b"whole")[..4])));
    let gateway = sessions_of(&backend, "1s", "1s");
    let mut client = open(&gateway);
    assert_eq!(client.raw(4), plain(TEXT, b"whole")[..4]);
    client.expect_end();
    ended(&gateway, "session", cut);
    // A client that does not answer the close frame.
    let (backend, told) = telling(|_| {});
    let gateway = sessions_of(&backend, "1s", "1s");
    let mut client = open(&gateway);
    assert_eq!(read(&mut client).0, CLOSE);
    client.expect_end();
    assert_eq!(told.recv_timeout(poll::patience()).unwrap(), b"");
    ended(&gateway, "session", cut);
}

#[test]
fn after_a_close_frame_of_the_back_ends_nothing_is_inserted() {
    let bye = plain(CLOSE, &status(1000, "bye"));
    let (backend, told) = telling(move |conn| assert!(conn.send(&bye)));
    let gateway = sessions_of(&backend, "1s", "1s");
    let mut client = open(&gateway);
    assert_eq!(read(&mut client), (CLOSE, status(1000, "bye")));
    client.expect_end();
    assert_eq!(told.recv_timeout(poll::patience()).unwrap(), b"");
}

#[test]
fn a_tunnel_outlives_other_sessions() {
    // A control: the same tunnel with a session that lasts.
    let (backend, _told) = telling(|_| {});
    let gateway = sessions_of(&backend, "1h", "1h");
    let mut client = open(&gateway);
    assert!(client.is_silent(Duration::from_secs(3)));
}

#[test]
fn a_drain_closes_tunnels_near_its_end() {
    let (backend, told) = telling(|_| {});
    let mut gateway = Setup::connect(&backend)
        .line("gateway", "drain = \"4s\"")
        .start();
    let mut client = open(&gateway);
    let begun = Instant::now();
    gateway.terminate();
    // Until then it works as before.
    poll::until("the gateway drains", || {
        (gateway.ask_admin("/readyz").status == 503).then_some(())
    });
    client.send(&masked(TEXT, b"still at work"));
    let close = read(&mut client);
    assert!(begun.elapsed() > Duration::from_millis(1900), "too soon");
    assert_eq!(close, (CLOSE, status(1001, "the gateway restarts")));
    let answer = masked(CLOSE, &close.1);
    client.send(&answer);
    client.expect_clean_end();
    let came = told.recv_timeout(poll::patience()).unwrap();
    assert_eq!(came, [masked(TEXT, b"still at work"), answer].concat());
    assert_eq!(gateway.wait().code(), Some(0));
    let line = gateway.logged("the tunnel", |line| line["path"] == "/ws");
    assert_eq!(line["error"], "closed, because the gateway drains");
    assert!(!gateway.process_log().contains("drain time is over"));
}
