//! Each byte at once, and never more than the other side takes.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use gateway_tests::harness::{ALICE, Backend, Request, Setup, poll};

#[test]
fn each_chunk_is_flushed_at_once() {
    // The back-end sends a piece only after the client has seen the one before it.
    for chunked in [true, false] {
        let (seen, next): (Sender<()>, Receiver<()>) = channel();
        let next = Mutex::new(next);
        let backend = Backend::scripted(move |conn| {
            conn.request();
            conn.send(match chunked {
                true => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                false => b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n",
            });
            let next = next.lock().unwrap();
            for _ in 0..2000 {
                conn.send(if chunked {
                    b"a\r\n0123456789\r\n"
                } else {
                    b"0123456789"
                });
                next.recv_timeout(poll::patience())
                    .expect("the client sees each piece");
            }
            conn.send(if chunked { b"0\r\n\r\n" } else { b"" });
        });
        let gateway = Setup::connect(&backend).start();
        let mut client = gateway.client();
        client.send(&Request::get("/stream").by(&ALICE).bytes());
        let head = client.answer_head();
        assert_eq!(head.status, 200);
        for _ in 0..2000 {
            let piece = if chunked {
                client.chunk()
            } else {
                client.raw(10)
            };
            assert_eq!(piece, b"0123456789");
            seen.send(()).unwrap();
        }
        if chunked {
            assert_eq!(client.chunk(), b"");
        }
    }
}

#[test]
fn the_head_of_an_answer_does_not_wait_for_its_body() {
    let (seen, next): (Sender<()>, Receiver<()>) = channel();
    let next = Mutex::new(next);
    let backend = Backend::scripted(move |conn| {
        conn.request();
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        next.lock()
            .unwrap()
            .recv_timeout(poll::patience())
            .expect("the client sees the head");
        conn.send(b"data: 1\n\n");
    });
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    client.send(&Request::get("/events").by(&ALICE).bytes());
    assert_eq!(client.answer_head().status, 200);
    seen.send(()).unwrap();
    assert_eq!(client.chunk(), b"data: 1\n\n");
    assert_eq!(client.chunk(), b"");
}
