//! Promise P7: bodies of any size in memory that does not grow with them.
//! 1 GiB each with `GATEWAY_TEST_SCALE=full`, 128 MiB each otherwise.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{Context, SHA256};
use gateway_tests::harness::bulk::{MIB, in_bounded_memory, pattern, sink, summed, swallow};
use gateway_tests::harness::{
    ALICE, Authority, Backend, Client, Gateway, HANDSHAKE, Request, Setup, accept, poll, scale,
};

#[test]
fn a_big_upload_with_its_length() {
    let (backend, sums) = sink();
    let gateway = Setup::connect(&backend).start();
    let mut client = warm(&gateway);
    let request = Request::new("POST", "/upload").by(&ALICE);
    in_bounded_memory(&gateway, || {
        client.send(&request.field("Content-Length", &size().to_string()).bytes());
        let sum = stream(|part| {
            client.send(part);
        });
        client.answer().expect(200);
        assert_eq!(sums.recv_timeout(poll::patience()).unwrap(), sum);
    });
}

#[test]
fn a_big_upload_in_chunks() {
    let (backend, sums) = sink();
    let gateway = Setup::connect(&backend).start();
    let mut client = warm(&gateway);
    let request = Request::new("POST", "/upload").by(&ALICE);
    in_bounded_memory(&gateway, || {
        client.send(&request.field("Transfer-Encoding", "chunked").bytes());
        // As rsconnect-python does it: 8 KiB each.
        let mut framed = Vec::new();
        let sum = stream(|part| {
            framed.clear();
            for chunk in part.chunks(8192) {
                framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                framed.extend_from_slice(chunk);
                framed.extend_from_slice(b"\r\n");
            }
            client.send(&framed);
        });
        client.send(b"0\r\n\r\n").answer().expect(200);
        assert_eq!(sums.recv_timeout(poll::patience()).unwrap(), sum);
    });
}

#[test]
fn a_big_upload_to_a_tls_back_end() {
    let ca = Authority::new("back-end CA");
    let (sender, sums) = channel();
    let sender = Mutex::new(sender);
    let backend = Backend::scripted_tls(accept(&ca.server(&["127.0.0.1"])), move |conn| {
        swallow(conn, &sender);
    });
    let gateway = Setup::connect_tls(&backend, &ca).start();
    let mut client = warm(&gateway);
    let request = Request::new("POST", "/upload").by(&ALICE);
    in_bounded_memory(&gateway, || {
        client.send(&request.field("Content-Length", &size().to_string()).bytes());
        let sum = stream(|part| {
            client.send(part);
        });
        client.answer().expect(200);
        assert_eq!(sums.recv_timeout(poll::patience()).unwrap(), sum);
    });
}

#[test]
fn a_big_download() {
    for framing in ["Content-Length", "Transfer-Encoding", "neither"] {
        let backend = source(framing);
        let gateway = Setup::connect(&backend).start();
        let mut client = warm(&gateway);
        in_bounded_memory(&gateway, || {
            client.send(&Request::get("/download").by(&ALICE).bytes());
            let head = client.answer_head();
            assert_eq!(head.status, 200);
            let mut sum = Context::new(&SHA256);
            let mut left = size();
            while left > 0 {
                let part = match framing {
                    "Content-Length" => client.raw(usize::try_from(left.min(65536)).unwrap()),
                    _ => client.chunk(),
                };
                assert!(!part.is_empty(), "{left} bytes are missing");
                sum.update(&part);
                left -= part.len() as u64;
            }
            if framing != "Content-Length" {
                assert_eq!(client.chunk(), b"");
            }
            assert_eq!(sum.finish().as_ref(), stream(|_| ()), "{framing}");
        });
        let line = gateway.logged("the download", |line| line["path"] == "/download");
        assert_eq!(line["bytes_out"].as_u64(), Some(size()));
    }
}

#[test]
fn much_through_a_tunnel() {
    let backend = Backend::scripted(|conn| {
        let Some(request) = conn.head() else { return };
        if request.target != "/ws" {
            conn.send(gateway_tests::harness::OK);
            return;
        }
        conn.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        );
        while let Some(part) = conn.exactly(65536) {
            conn.send(&part);
        }
    });
    let gateway = Setup::connect(&backend).start();
    let mut client = warm(&gateway);
    in_bounded_memory(&gateway, || {
        client.send(&Request::get("/ws").by(&ALICE).fields(HANDSHAKE).bytes());
        assert_eq!(client.answer().status, 101);
        let part = pattern();
        for _ in 0..size() / 4 / 65536 {
            client.send(&part[..65536]);
            assert!(client.raw(65536) == part[..65536], "the echo differs");
        }
    });
}

#[test]
fn many_uploads_at_once() {
    let (backend, sums) = sink();
    let gateway = Arc::new(Setup::connect(&backend).start());
    warm(&gateway);
    in_bounded_memory(&gateway, || {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let gateway = gateway.clone();
                std::thread::spawn(move || {
                    let mut client = gateway.client();
                    let part = pattern();
                    let length = part.len() * 8;
                    let request = Request::new("POST", "/upload").by(&ALICE);
                    client.send(&request.field("Content-Length", &length.to_string()).bytes());
                    for _ in 0..8 {
                        client.send(&part);
                    }
                    client.answer().expect(200);
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("each upload succeeds");
        }
    });
    assert_eq!(sums.try_iter().count(), 8);
}

/// A back-end that sends [`size`] bytes, framed in one of three ways.
fn source(framing: &'static str) -> Backend {
    Backend::scripted(move |conn| {
        while let Some(head) = conn.head() {
            if head.target != "/download" {
                conn.send(gateway_tests::harness::OK);
                continue;
            }
            let field = match framing {
                "Content-Length" => format!("Content-Length: {}\r\n", size()),
                "Transfer-Encoding" => "Transfer-Encoding: chunked\r\n".to_owned(),
                _ => String::new(),
            };
            conn.send(format!("HTTP/1.1 200 OK\r\n{field}\r\n").as_bytes());
            stream(|part| {
                if framing == "Transfer-Encoding" {
                    conn.send(format!("{:x}\r\n", part.len()).as_bytes());
                }
                conn.send(part);
                if framing == "Transfer-Encoding" {
                    conn.send(b"\r\n");
                }
            });
            match framing {
                "Content-Length" => {}
                "Transfer-Encoding" => {
                    conn.send(b"0\r\n\r\n");
                }
                _ => return,
            }
        }
    })
}

/// A connection over which a request has gone, so that caches and pools are as full as they get.
fn warm(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    for _ in 0..3 {
        client.ask(&Request::get("/warm").by(&ALICE)).expect(200);
    }
    client
}

/// Hands [`size`] bytes to `take` in parts, and returns their SHA-256.
fn stream(take: impl FnMut(&[u8])) -> Vec<u8> {
    summed(size(), take)
}

fn size() -> u64 {
    scale(128, 1024) * MIB
}
