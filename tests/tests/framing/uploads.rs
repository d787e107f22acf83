//! Bodies on their way up, and answers that come before their end.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use gateway_tests::harness::{ALICE, Backend, Framing, OK, Request, Setup, poll};

#[test]
fn a_refused_upload_gets_its_401_before_the_body() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    for request in [
        Request::new("POST", "/x").field("Content-Length", "5000000000"),
        Request::new("POST", "/x").field("Transfer-Encoding", "chunked"),
    ] {
        let wrong = ALICE.basic_with("wrong");
        let request = request
            .field("Expect", "100-continue")
            .field("Authorization", &wrong);
        let mut client = gateway.client();
        let answer = client.ask(&request).expect_json(401);
        assert_eq!(answer.interim, []);
        // The body was announced and will not be read, so nothing can follow.
        assert_eq!(answer.field("connection"), Some("close"));
        client.expect_clean_end();
    }
    assert_eq!(backend.raw(), b"");
}

#[test]
fn a_wanted_upload_is_told_to_continue() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    for expectation in ["100-continue", "100-Continue"] {
        let request = Request::new("POST", "/x")
            .by(&ALICE)
            .field("Content-Length", "4");
        client.send(&request.field("Expect", expectation).bytes());
        let interim = client.answer_head();
        assert_eq!((interim.status, interim.fields), (100, vec![]));
        client.send(b"body");
        let answer = client.answer().expect(200);
        assert_eq!(answer.interim, []);
        let received = backend.one();
        assert_eq!(received.body, b"body");
        assert_eq!(
            received.field("expect"),
            None,
            "the gateway has answered it"
        );
    }
    // A client that does not wait is served as well. It is not told to, nor is one that has
    // nothing to send.
    for body in [&b"body"[..], b""] {
        let request = Request::post("/x", body)
            .by(&ALICE)
            .field("Expect", "100-continue");
        let answer = client.ask(&request).expect(200);
        assert_eq!(answer.interim, []);
        assert_eq!(backend.one().body, body);
    }
}

#[test]
fn no_continue_for_a_back_end_that_is_down() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let gateway = Setup::new()
        .pool(gateway_tests::harness::Pool::plain("connect", address))
        .app(gateway_tests::harness::App::connect())
        .start();
    let request = Request::new("POST", "/x")
        .by(&ALICE)
        .field("Content-Length", "4");
    let answer = gateway
        .ask(&request.field("Expect", "100-continue"))
        .expect_json(502);
    assert_eq!(answer.interim, []);
    gateway.counted(
        "connect_gateway_upstream_errors_total",
        &[("cause", "upstream_connect")],
        1.0,
    );
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_uploading() {
    let backend = Backend::scripted(|conn| {
        let Some(request) = conn.head() else { return };
        if request.target == "/good" {
            conn.send(OK);
            return;
        }
        assert!(conn.exactly(1000).is_some());
        conn.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo much");
    });
    let gateway = Setup::connect(&backend).start();
    for chunked in [false, true] {
        let mut client = gateway.client();
        let request = Request::new("POST", "/x").by(&ALICE);
        let request = match chunked {
            true => request.field("Transfer-Encoding", "chunked"),
            false => request.field("Content-Length", "1000000000"),
        };
        client.send(&request.bytes());
        let part = vec![b'x'; 65536];
        let send = |client: &mut gateway_tests::harness::Client| match chunked {
            true => client
                .try_send(b"10000\r\n")
                .and_then(|()| client.try_send(&part))
                .and_then(|()| client.try_send(b"\r\n")),
            false => client.try_send(&part),
        };
        send(&mut client).expect("the first part is taken");
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
        assert_eq!(answer.field("connection"), Some("close"));
    }
    gateway.ask(&Request::get("/good").by(&ALICE)).expect(200);
}

#[test]
fn uploads_are_streamed_too() {
    let (arrived, seen): (Sender<usize>, Receiver<usize>) = channel();
    let arrived = Mutex::new(arrived);
    let backend = Backend::scripted(move |conn| {
        let Some(_head) = conn.head() else { return };
        let mut total = 0;
        loop {
            match conn.chunk() {
                Some(chunk) if chunk.is_empty() => break,
                Some(chunk) => {
                    total += chunk.len();
                    arrived.lock().unwrap().send(total).unwrap();
                }
                None => panic!("the upload broke off"),
            }
        }
        conn.send(OK);
    });
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    let request = Request::new("POST", "/x")
        .by(&ALICE)
        .field("Transfer-Encoding", "chunked");
    client.send(&request.bytes());
    for at in 1..=500 {
        client.send(b"a\r\n0123456789\r\n");
        let total = seen
            .recv_timeout(poll::patience())
            .expect("the back-end sees each chunk");
        assert_eq!(total, at * 10);
    }
    client.send(b"0\r\n\r\n").answer().expect(200);
}

#[test]
fn lengths_beyond_32_bits_are_no_problem() {
    const FIVE_GIB: u64 = 5 * 1024 * 1024 * 1024;
    let (arrived, seen): (Sender<String>, Receiver<String>) = channel();
    let arrived = Mutex::new(arrived);
    let backend = Backend::scripted(move |conn| {
        let Some(head) = conn.head() else { return };
        if head.method == "POST" {
            let length = head.field("content-length").unwrap().to_owned();
            assert!(conn.exactly(1_000_000).is_some());
            arrived.lock().unwrap().send(length).unwrap();
        } else {
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {FIVE_GIB}\r\n\r\n").as_bytes());
            conn.send(&vec![b'x'; 1_000_000]);
        }
        conn.read_out();
    });
    let gateway = Setup::connect(&backend).start();

    let mut client = gateway.client();
    let request = Request::new("POST", "/x")
        .by(&ALICE)
        .field("Content-Length", &FIVE_GIB.to_string());
    client.send(&request.bytes()).send(&vec![b'x'; 1_000_000]);
    let length = seen
        .recv_timeout(poll::patience())
        .expect("streaming starts at once");
    assert_eq!(length, FIVE_GIB.to_string());

    let mut client = gateway.client();
    client.send(&Request::get("/x").by(&ALICE).bytes());
    assert_eq!(client.answer_head().framing, Framing::Length(FIVE_GIB));
    client.skip(1_000_000);
}
