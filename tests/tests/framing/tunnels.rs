//! Upgrades: after a 101 and only then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway_tests::harness::{ALICE, Backend, HANDSHAKE, Request, SWITCHING, Setup, poll};

#[test]
fn upgrade_tunnel_only_after_101() {
    let decided = Arc::new(AtomicBool::new(false));
    let early = decided.clone();
    let backend = Backend::scripted(move |conn| {
        let Some(request) = conn.head() else { return };
        assert_eq!(request.field("upgrade"), Some("websocket"));
        assert_eq!(
            request
                .field("connection")
                .map(str::to_lowercase)
                .as_deref(),
            Some("upgrade")
        );
        assert_eq!(request.field("sec-websocket-key"), Some(HANDSHAKE[3].1));
        assert_eq!(
            request.field("sec-websocket-protocol"),
            Some("streamlit, x")
        );
        // What the client sent behind its handshake stays at the gateway until the 101.
        assert!(
            conn.is_silent(Duration::from_millis(300)),
            "bytes before the 101"
        );
        early.store(true, Ordering::SeqCst);
        conn.send(SWITCHING);
        assert_eq!(conn.exactly(5).as_deref(), Some(&b"early"[..]));
        conn.send(b"hello");
        while let Some(bytes) = conn.exactly(4) {
            conn.send(&bytes);
        }
    });
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    let request = Request::get("/ws").by(&ALICE).fields(HANDSHAKE);
    let mut bytes = request
        .field("Sec-WebSocket-Protocol", "streamlit, x")
        .bytes();
    bytes.extend_from_slice(b"early");
    client.send(&bytes);
    let answer = client.answer();
    assert!(decided.load(Ordering::SeqCst));
    assert_eq!(answer.status, 101);
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    assert_eq!(
        answer.field("connection").map(str::to_lowercase).as_deref(),
        Some("upgrade")
    );
    assert_eq!(
        answer.field("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(client.raw(5), b"hello");
    for at in 0..1000_u32 {
        client.send(&at.to_be_bytes());
        assert_eq!(client.raw(4), at.to_be_bytes());
    }
    gateway.counted("connect_gateway_tunnels_total", &[], 1.0);
    gateway.counted("connect_gateway_tunnels_open", &[], 1.0);
    drop(client);
    poll::until("the tunnel is counted as over", || {
        (gateway.metrics().sum("connect_gateway_tunnels_open", &[]) == 0.0).then_some(())
    });
    let line = gateway.logged("the tunnel", |line| line["path"] == "/ws");
    assert_eq!(
        (line["status"].as_u64(), line["websocket"].as_bool()),
        (Some(101), Some(true))
    );
    assert_eq!(line["bytes_in"].as_u64(), Some(4005));
    assert_eq!(line["bytes_out"].as_u64(), Some(4005));
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer_and_the_last() {
    let backend = Backend::answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let gateway = Setup::connect(&backend).start();
    let request = Request::get("/ws").by(&ALICE).fields(HANDSHAKE);
    // What was meant for the tunnel is not taken for a request, nor forwarded as one, whether it
    // came with the handshake or after the refusal.
    let behind = Request::get("/poison").by(&ALICE).bytes();
    for early in [true, false] {
        let mut client = gateway.client();
        client.send(&request.bytes());
        if early {
            client.send(&behind);
        }
        let answer = client.answer().expect(403);
        assert_eq!(answer.text(), "no");
        assert_eq!(answer.field("connection"), Some("close"));
        if !early {
            // The gateway may be gone already.
            let _gone = client.try_send(&behind);
        }
        client.expect_end();
        assert_eq!(backend.one().target, "/ws");
    }
    // So it is if the gateway itself refuses.
    let mut client = gateway.client();
    client.send(&[Request::get("/ws").fields(HANDSHAKE).bytes(), behind].concat());
    client.answer().expect_json(401);
    client.expect_end();
    assert_eq!(backend.requests(), []);
    assert!(!backend.saw(b"poison"));
}

#[test]
fn what_is_no_handshake_is_an_ordinary_request() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    let page = || Request::get("/ws").by(&ALICE);
    for request in [
        page()
            .fields(HANDSHAKE)
            .without("Upgrade")
            .field("Upgrade", "h2c"),
        page()
            .field("Connection", "Upgrade, HTTP2-Settings")
            .field("Upgrade", "h2c")
            .field("HTTP2-Settings", "AAMAAABkAAQ"),
        page().fields(HANDSHAKE).without("Sec-WebSocket-Version"),
        page().fields(HANDSHAKE).without("Sec-WebSocket-Key"),
        page().fields(HANDSHAKE).without("Connection"),
        page().fields(HANDSHAKE).with_body(b"body"),
        Request::post("/ws", b"body").by(&ALICE).fields(HANDSHAKE),
        page()
            .field("Connection", "upgrade")
            .field("Upgrade", "TLS/1.3"),
    ] {
        client.ask(&request).expect(200);
        let received = backend.one();
        assert_eq!(received.field("upgrade"), None, "{received:#?}");
        let connection = received.field("connection").unwrap_or_default();
        assert!(
            !connection.to_lowercase().contains("upgrade"),
            "{received:#?}"
        );
        assert_eq!(received.field("http2-settings"), None);
    }
}

#[test]
fn tunnels_half_close() {
    let backend = Backend::scripted(|conn| {
        if conn.head().is_none() {
            return;
        }
        conn.send(SWITCHING);
        // The client ends its direction; this one goes on.
        assert_eq!(conn.read_out(), b"last words");
        conn.send(b"and now for the answer");
    });
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    client.send(&Request::get("/ws").by(&ALICE).fields(HANDSHAKE).bytes());
    assert_eq!(client.answer().status, 101);
    client.send(b"last words").end_sending();
    assert_eq!(client.raw(22), b"and now for the answer");
    client.expect_clean_end();

    let backend = Backend::scripted(|conn| {
        if conn.head().is_none() {
            return;
        }
        conn.send(SWITCHING);
        conn.send(b"bye");
        conn.end_sending();
        assert_eq!(conn.read_out(), b"the client goes on");
    });
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    client.send(&Request::get("/ws").by(&ALICE).fields(HANDSHAKE).bytes());
    assert_eq!(client.answer().status, 101);
    assert_eq!(client.raw(3), b"bye");
    client.expect_clean_end();
    client.send(b"the client goes on").end_sending();
    gateway.logged("the tunnel", |line| {
        line["path"] == "/ws" && line["bytes_in"] == 18
    });
}

#[test]
fn half_a_tunnel_does_not_stay() {
    // Whichever ends its direction, the other keeps silent and does not end its own.
    for by_client in [true, false] {
        let (tell, over) = channel();
        let over = Mutex::new(over);
        let backend = Backend::scripted(move |conn| {
            if conn.head().is_none() {
                return;
            }
            conn.send(SWITCHING);
            if by_client {
                assert_eq!(conn.read_out(), b"");
                let over = over.lock().unwrap().recv_timeout(poll::patience());
                over.expect("the tunnel ends although this end stays open");
            } else {
                assert!(conn.exactly(2).is_some());
                conn.end_sending();
                assert_eq!(conn.read_out(), b"");
            }
        });
        let gateway = Setup::connect(&backend)
            .line("timeouts", "body = \"1s\"")
            .start();
        let mut client = gateway.client();
        client.send(&Request::get("/ws").by(&ALICE).fields(HANDSHAKE).bytes());
        assert_eq!(client.answer().status, 101);
        gateway.counted("connect_gateway_tunnels_open", &[], 1.0);
        let begun = Instant::now();
        if by_client {
            client.end_sending();
        } else {
            client.send(b"go");
        }
        client.expect_end();
        poll::until("no tunnel is open", || {
            (gateway.metrics().sum("connect_gateway_tunnels_open", &[]) == 0.0).then_some(())
        });
        tell.send(()).unwrap();
        assert!(begun.elapsed() > Duration::from_millis(900), "too soon");
        assert!(begun.elapsed() < Duration::from_secs(4), "too late");
        let line = gateway.logged("it", |line| line["path"] == "/ws");
        let error = line["error"].as_str().unwrap();
        assert!(error.contains("one direction had ended"), "{error}");
    }
}
