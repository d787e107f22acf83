//! How messages are framed and when bytes move: keep-alive, interim answers, chunks, uploads and
//! tunnels (domain §4.2, §4.3).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_tests::harness::{
    ALICE, Backend, Broken, Framing, HANDSHAKE, OK, Request, Setup, poll,
};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            let body = request.target;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            conn.send((head + &body).as_bytes());
        }
    });
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    let mut all = Vec::new();
    for at in 0..20 {
        all.extend(match at % 3 {
            0 => Request::get(&format!("/{at}")).by(&ALICE).bytes(),
            1 => Request::post(&format!("/{at}"), b"some body")
                .by(&ALICE)
                .bytes(),
            _ => {
                let request = Request::new("POST", &format!("/{at}")).by(&ALICE);
                let head = request.field("Transfer-Encoding", "chunked").bytes();
                [&head[..], b"4\r\nbody\r\n0\r\n\r\n"].concat()
            }
        });
    }
    client.send(&all);
    for at in 0..20 {
        assert_eq!(client.answer().expect(200).text(), format!("/{at}"));
    }
    assert!(client.is_silent(Duration::from_millis(100)));
}

#[test]
fn connections_are_kept_on_both_sides() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    for _ in 0..10 {
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
        client.ask(&Request::post("/", b"x").by(&ALICE)).expect(200);
        client.ask(&Request::get("/")).expect(401);
    }
    assert_eq!(backend.take().len(), 20);
    assert_eq!(backend.connections(), 1);

    let answer = client.ask(&Request::get("/").by(&ALICE).field("Connection", "close"));
    assert_eq!(answer.expect(200).field("connection"), Some("close"));
    client.expect_clean_end();
    // The client's wish concerns the client's connection only.
    gateway
        .client()
        .ask(&Request::get("/").by(&ALICE))
        .expect(200);
    assert!(backend.connections() <= 2);
}

#[test]
fn answers_without_a_body_end_at_their_head() {
    for (method, answer, length) in [
        (
            "HEAD",
            &b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"[..],
            Some("1000"),
        ),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", None),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (
            "GET",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n",
            Some("1000"),
        ),
        ("GET", b"HTTP/1.1 304 Not Modified\r\n\r\n", None),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            Some("0"),
        ),
    ] {
        let backend = Backend::answering(answer);
        let gateway = Setup::connect(&backend).start();
        let mut client = gateway.client();
        for _ in 0..3 {
            let answer = client.ask(&Request::new(method, "/").by(&ALICE));
            assert_eq!(
                answer.field("content-length"),
                length,
                "{method} {answer:?}"
            );
            assert_eq!(answer.body, b"");
        }
        assert_eq!(backend.take().len(), 3);
        assert_eq!(backend.connections(), 1);
    }
    // A HEAD that the gateway answers itself has no body either.
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        client.ask(&Request::new("HEAD", "/")).expect(401);
    }
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn early_hints_pass() {
    let backend = Backend::scripted(|conn| {
        while conn.request().is_some() {
            conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
            conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\nSet-Cookie: __Host-gateway-staff=x\r\n\r\n");
            conn.send(OK);
        }
    });
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.ask(&Request::get("/").by(&ALICE)).expect(200);
        let links: Vec<_> = answer
            .interim
            .iter()
            .map(|(status, fields)| (*status, fields.clone()))
            .collect();
        let link = |name: &str| vec![("Link".to_owned(), format!("</{name}.css>; rel=preload"))];
        assert_eq!(links, [(103, link("a")), (103, link("b"))]);
        assert_eq!(answer.body, b"ok");
    }
}

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
    // A client that does not wait is served as well.
    let request = Request::post("/x", b"body")
        .by(&ALICE)
        .field("Expect", "100-continue");
    client.ask(&request).expect(200);
    assert_eq!(backend.one().body, b"body");
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
fn chunks_are_framed_anew() {
    // The harness's back-end and client fail on extensions and trailers.
    let backend = Backend::answering(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
          3;a=b;c=\"d\"\r\nans\r\n003\r\nwer\r\n0;last\r\nX-Sum: 1\r\nX-Auth-Username: evil\r\n\r\n",
    );
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    for _ in 0..3 {
        let request = Request::new("POST", "/x")
            .by(&ALICE)
            .field("Transfer-Encoding", "chunked");
        client.send(&request.bytes());
        client.send(b"2;x=y\r\nbo\r\n0002;z\r\ndy\r\n000;q\r\nX-Sum: 1\r\nX-Evil: yes\r\n\r\n");
        let answer = client.answer().expect(200);
        assert_eq!(answer.body, b"answer");
        assert_eq!(answer.framing, Framing::Chunked);
        let received = backend.one();
        assert_eq!(received.body, b"body");
        assert_eq!(received.field("x-sum"), None);
    }
    assert!(!backend.saw(b"X-Evil"));
}

#[test]
fn lengths_are_kept_and_empty_bodies_stay_what_they_are() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    for (request, length) in [
        (Request::get("/"), None),
        (
            Request::new("POST", "/").field("Content-Length", "0"),
            Some("0"),
        ),
        (Request::new("POST", "/"), None),
        (Request::post("/", b"12345"), Some("5")),
        (Request::get("/").field("Content-Length", "0"), Some("0")),
        (Request::new("DELETE", "/").with_body(b"x"), Some("1")),
        (Request::get("/").with_body(b"get with a body"), Some("15")),
    ] {
        client.ask(&request.by(&ALICE)).expect(200);
        let received = backend.one();
        assert_eq!(received.field("content-length"), length, "{received:#?}");
        assert_eq!(received.field("transfer-encoding"), None);
    }
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
fn http_10_clients_are_served() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            match request.target.as_str() {
                "/chunked" => conn.send(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                ),
                "/hints" => {
                    conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n") && conn.send(OK)
                }
                _ => conn.send(OK),
            };
        }
    });
    let gateway = Setup::connect(&backend).start();
    let head = |target: &str, more: &str| {
        let host = format!("GET {target} HTTP/1.0\r\nHost: connect.test\r\n");
        format!("{host}Authorization: {}\r\n{more}\r\n", ALICE.basic()).into_bytes()
    };
    let mut client = gateway.client();
    let answer = client.send(&head("/", "")).answer().expect(200);
    assert_eq!(answer.framing, Framing::Length(2));
    client.expect_clean_end();

    let mut client = gateway.client();
    let answer = client.send(&head("/chunked", "")).answer().expect(200);
    assert_eq!(
        (answer.body, answer.framing),
        (b"ok".to_vec(), Framing::UntilClose)
    );

    let mut client = gateway.client();
    let answer = client.send(&head("/hints", "")).answer().expect(200);
    assert_eq!(answer.interim, [], "HTTP/1.0 knows no interim answers");

    // Persistence only where it is asked for.
    let mut client = gateway.client();
    for _ in 0..3 {
        let answer = client
            .send(&head("/", "Connection: keep-alive\r\n"))
            .answer()
            .expect(200);
        assert_eq!(answer.field("connection"), Some("keep-alive"));
    }
    // An expectation of HTTP/1.0 is none (RFC 9110 §10.1.1).
    let mut client = gateway.client();
    let post = format!(
        "POST / HTTP/1.0\r\nHost: connect.test\r\nAuthorization: {}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
        ALICE.basic()
    );
    let answer = client.send(post.as_bytes()).answer().expect(200);
    assert_eq!(answer.interim, []);
}

#[test]
fn answers_until_close_arrive_whole_and_end_clearly() {
    for head in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
    ] {
        let backend = Backend::scripted(move |conn| {
            if conn.request().is_some() {
                conn.send(head.as_bytes());
                conn.send(&vec![b'x'; 100_000]);
            }
        });
        let gateway = Setup::connect(&backend).start();
        let mut client = gateway.client();
        for _ in 0..2 {
            let answer = client.ask(&Request::get("/").by(&ALICE)).expect(200);
            assert_eq!(answer.body.len(), 100_000);
            assert_eq!(
                answer.framing,
                Framing::Chunked,
                "only so is the end certain"
            );
        }
        assert_eq!(backend.connections(), 2);
    }
}

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
                next.recv_timeout(poll::PATIENCE)
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
            .recv_timeout(poll::PATIENCE)
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
            .recv_timeout(poll::PATIENCE)
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
        .recv_timeout(poll::PATIENCE)
        .expect("streaming starts at once");
    assert_eq!(length, FIVE_GIB.to_string());

    let mut client = gateway.client();
    client.send(&Request::get("/x").by(&ALICE).bytes());
    assert_eq!(client.answer_head().framing, Framing::Length(FIVE_GIB));
    client.skip(1_000_000);
}

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
fn a_client_that_goes_away_frees_its_back_end() {
    let freed = Arc::new(AtomicBool::new(false));
    let flag = freed.clone();
    let backend = Backend::scripted(move |conn| {
        if conn.head().is_some_and(|request| request.target == "/slow") {
            conn.read_out();
            flag.store(true, Ordering::SeqCst);
        } else {
            conn.send(OK);
        }
    });
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    client.send(&Request::get("/slow").by(&ALICE).bytes());
    poll::until("the request is there", || {
        backend.saw(b"/slow").then_some(())
    });
    drop(client);
    poll::until("its connection ends", || {
        freed.load(Ordering::SeqCst).then_some(())
    });
    let line = gateway.logged("it", |line| line["path"] == "/slow");
    assert!(line["status"].is_null(), "{line}");
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
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
fn a_slow_reader_holds_the_back_end_back() {
    for websocket in [false, true] {
        let sent = Arc::new(AtomicU64::new(0));
        let counter = sent.clone();
        let backend = Backend::scripted(move |conn| {
            if conn.head().is_none() {
                return;
            }
            conn.send(if websocket {
                SWITCHING
            } else {
                b"HTTP/1.1 200 OK\r\n\r\n"
            });
            let part = vec![b'x'; 65536];
            while conn.send(&part) {
                counter.fetch_add(part.len() as u64, Ordering::SeqCst);
            }
        });
        let gateway = Setup::connect(&backend).start();
        let resident = gateway.reset_peak_memory();
        let mut client = gateway.client();
        let request = Request::get("/flood").by(&ALICE);
        let request = if websocket {
            request.fields(HANDSHAKE)
        } else {
            request
        };
        client.send(&request.bytes());
        client.answer_head();
        // Kernel buffers on four sockets fill; then everything stands still.
        let stalled = poll::settled("the back-end's writing", Duration::from_millis(700), || {
            sent.load(Ordering::SeqCst)
        });
        assert!(stalled < 32 * MIB, "{stalled} bytes went nowhere");
        let grown = gateway.peak_memory().saturating_sub(resident);
        assert!(grown < 4 * MIB, "{grown} bytes more memory");
        // Reading on sets everything going again.
        client.skip(stalled);
        poll::until("the back-end goes on", || {
            (sent.load(Ordering::SeqCst) > stalled + MIB)
                .then_some(())
                .or_else(|| {
                    client.skip(MIB);
                    None
                })
        });
    }
}

#[test]
fn write_stall_reaped() {
    let gone = Arc::new(AtomicBool::new(false));
    let flag = gone.clone();
    let backend = Backend::scripted(move |conn| {
        if conn.head().is_none() {
            return;
        }
        conn.send(b"HTTP/1.1 200 OK\r\n\r\n");
        while conn.send(&[b'x'; 65536]) {}
        flag.store(true, Ordering::SeqCst);
    });
    let gateway = Setup::connect(&backend)
        .line("timeouts", "body = \"1s\"")
        .start();
    let mut client = gateway.client();
    client.send(&Request::get("/flood").by(&ALICE).bytes());
    client.answer_head();
    poll::until("the stalled connection is given up", || {
        gone.load(Ordering::SeqCst).then_some(())
    });
    gateway.logged("the stall", |line| {
        line["path"] == "/flood" && line["error"].is_string()
    });
}

#[test]
fn silence_is_bounded_everywhere() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.head() {
            match request.target.as_str() {
                "/half" => {
                    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                    conn.read_out();
                    return;
                }
                "/never" => {
                    conn.read_out();
                    return;
                }
                "/upload" => {
                    conn.read_out();
                    return;
                }
                _ => conn.send(OK),
            };
        }
    });
    let gateway = Setup::connect(&backend)
        .line(
            "timeouts",
            "head = \"1s\"\nidle = \"1s\"\nbody = \"1s\"\nanswer = \"1s\"",
        )
        .start();
    // A head that never ends, after its first byte and without one.
    let mut client = gateway.client();
    client.send(b"GET / HTTP/1.1\r\nHost: conn");
    client.answer().expect_json(408);
    client.expect_end();
    gateway.client().expect_end();
    // A connection that nobody uses any more.
    let mut client = gateway.client();
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    client.expect_clean_end();
    // A back-end that does not answer, one that stops in the middle.
    gateway
        .ask(&Request::get("/never").by(&ALICE))
        .expect_json(504);
    let mut client = gateway.client();
    client.send(&Request::get("/half").by(&ALICE).bytes());
    assert_eq!(
        client.read_answer(false),
        Err(Broken::Truncated(b"half".to_vec()))
    );
    // A client that stops uploading.
    let mut client = gateway.client();
    let request = Request::new("POST", "/upload")
        .by(&ALICE)
        .field("Content-Length", "10");
    client.send(&request.bytes()).send(b"half");
    client.answer().expect_json(408);
    client.expect_end();
}

#[test]
fn draining_finishes_what_was_begun() {
    let (proceed, wait): (Sender<()>, Receiver<()>) = channel();
    let wait = Mutex::new(wait);
    let backend = Backend::scripted(move |conn| {
        while let Some(request) = conn.head() {
            if request.target == "/slow" {
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
                wait.lock().unwrap().recv_timeout(poll::PATIENCE).unwrap();
                conn.send(b"whole");
            } else {
                conn.send(OK);
            }
        }
    });
    let mut gateway = Setup::connect(&backend).start();
    let mut idle = gateway.client();
    idle.ask(&Request::get("/").by(&ALICE)).expect(200);
    assert_eq!(gateway.ask_admin("/readyz").status, 200);
    let mut busy = gateway.client();
    busy.send(&Request::get("/slow").by(&ALICE).bytes());
    assert_eq!(busy.answer_head().status, 200);
    gateway.terminate();
    idle.expect_clean_end();
    poll::until("the gateway says that it drains", || {
        (gateway.ask_admin("/readyz").status == 503).then_some(())
    });
    proceed.send(()).unwrap();
    assert_eq!(busy.raw(5), b"whole");
    assert_eq!(gateway.wait().code(), Some(0));
    let line = gateway.logged("the last request", |line| line["path"] == "/slow");
    assert_eq!(line["status"], 200);
}

const MIB: u64 = 1024 * 1024;

/// A 101 to [`HANDSHAKE`].
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
