//! Requests and answers.

use bytes::BytesMut;
use gateway_tests::harness::{
    ALICE, Backend, CONNECT, Framing, GENERIC, HANDSHAKE, Http3, Lossy, Request, SWITCHING, poll,
    scale,
};
use wire::h3::HeadWriter;

use crate::{INTERNAL_ERROR, MESSAGE_ERROR, gateway, setup};

#[test]
fn a_visitor_is_named_and_answered() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let request = Request::get("/content/1/?a=b").by(&ALICE);
    let answer = client.ask(&request).expect(200);
    let received = backend.one();
    assert_eq!(received.folded("X-Auth-Username").len(), 1);
    assert_eq!(received.field("x-auth-username"), Some(ALICE.name));
    assert_eq!(received.field("host"), Some(CONNECT));
    assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(received.field("transfer-encoding"), None);
    assert_eq!(received.field("content-length"), None);
    let cookie = answer.field("set-cookie").expect("a session").to_owned();
    let line = gateway.logged("the request", |line| line["path"] == "/content/1/");
    assert_eq!(line["protocol"], "h3");
    assert_eq!(line["user"], ALICE.name);
    assert_eq!(line["status"], 200);
    // The session that it opened is good on the same connection, and by TCP.
    let cookie = cookie.split(';').next().unwrap();
    let again = Request::get("/").field("Cookie", cookie);
    client.ask(&again).expect(200);
    gateway.ask(&again).expect(200);
    for received in backend.take() {
        assert_eq!(received.field("x-auth-username"), Some(ALICE.name));
        assert_eq!(received.field("cookie"), None);
    }
}

#[test]
fn http1_says_where_http3_is_and_http3_does_not() {
    let backend = Backend::recording();
    let request = Request::get("/").by(&ALICE);
    let with = gateway(&backend);
    let announced = Some("h3=\":443\"; ma=86400");
    assert_eq!(with.ask(&request).expect(200).field("alt-svc"), announced);
    assert_eq!(
        with.http3().ask(&request).expect(200).field("alt-svc"),
        None
    );
    let without = gateway_tests::harness::Setup::connect(&backend).start();
    assert_eq!(without.ask(&request).expect(200).field("alt-svc"), None);
    // Nobody has the port for UDP, so that it is free for whoever wants it.
    std::net::UdpSocket::bind(without.address()).expect("no UDP socket is there");
    std::net::UdpSocket::bind(with.address()).expect_err("one is");
}

#[test]
fn refusals_are_those_of_http1() {
    let backend = Backend::recording();
    let gateway = setup(&backend)
        .line("gateway", "spoofed_headers = \"reject\"")
        .start();
    let long = format!("/{}", "a".repeat(40_000));
    let cases = [
        (401, Request::get("/content/1/")),
        (401, Request::get("/").field("Authorization", "Basic x")),
        (421, Request::get("/").on("unknown.test")),
        (421, Request::get("/").on(GENERIC).by(&ALICE)),
        (400, Request::get("/%zz").by(&ALICE)),
        (
            400,
            Request::get("/").by(&ALICE).field("X-Auth-Username", "bob"),
        ),
        (
            400,
            Request::get("/").by(&ALICE).field("X_Auth.Username", "bob"),
        ),
        (414, Request::get(&long).by(&ALICE)),
        (417, Request::get("/").by(&ALICE).field("Expect", "more")),
        (
            431,
            Request::get("/")
                .by(&ALICE)
                .field("X-Large", &"a".repeat(70_000)),
        ),
    ];
    let client = gateway.http3();
    for (status, request) in cases {
        let answer = client.ask(&request);
        let shown = format!("{:.200}", format!("{request:?}"));
        assert_eq!(answer.status, status, "{shown}: {answer:?}");
        assert_eq!(answer.field("connection"), None, "{answer:?}");
        // HTTP/1.1 says the same in the same words, where it can be asked at all.
        if status != 421 {
            let other = gateway.ask(&request);
            assert_eq!(other.status, status, "{shown}");
            assert_eq!(other.text(), answer.text(), "{shown}");
            assert_eq!(other.field("content-type"), answer.field("content-type"));
        }
        // After it a good one succeeds, on the same connection.
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
        assert_eq!(backend.one().target, "/", "{shown}");
    }
    let page = client.ask(&Request::get("/").navigating()).expect(401);
    assert!(page.field("www-authenticate").is_some(), "{page:?}");
    assert_eq!(backend.requests(), []);
}

#[test]
fn bodies_go_up_as_they_came() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let body: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
    client
        .ask(&Request::post("/known", &body).by(&ALICE))
        .expect(200);
    let received = backend.one();
    assert_eq!(received.field("content-length"), Some("300000"));
    assert!(received.complete && received.body == body);

    client
        .ask(&Request::post("/zero", b"").by(&ALICE))
        .expect(200);
    assert_eq!(backend.one().field("content-length"), Some("0"));

    // Without a length it is in chunks, each as it comes.
    let mut stream = client.begin(&Request::new("POST", "/unknown").by(&ALICE));
    for part in body.chunks(70_000) {
        stream.send_data(part);
    }
    stream.finish().read_answer().unwrap().expect(200);
    let received = backend.one();
    assert_eq!(received.field("transfer-encoding"), Some("chunked"));
    assert!(received.complete && received.body == body);
}

/// Some clients end a request in a packet of its own.
#[test]
fn a_request_without_content_has_no_body_also_if_its_end_is_late() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let client = gateway.http3();
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    backend.take();
    for _ in 0..scale(30, 300) {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let mut stream = client.begin(&Request::new(method, "/").by(&ALICE));
            stream.finish();
            stream.read_answer().unwrap().expect(200);
            let received = backend.one();
            assert_eq!(received.field("transfer-encoding"), None, "{received:?}");
            assert_eq!(received.field("content-length"), None, "{received:?}");
        }
    }
    // One that has some is a body; and who says neither is not waited for without end.
    let mut stream = client.begin(&Request::get("/").by(&ALICE));
    stream.send_data(b"content").finish();
    stream.read_answer().unwrap().expect(200);
    assert_eq!(backend.one().body, b"content");
    let mut stream = client.begin(&Request::get("/open").by(&ALICE));
    poll::until("the back-end has the head", || {
        backend.saw(b"GET /open ").then_some(())
    });
    stream.finish().read_answer().unwrap().expect(200);
    assert_eq!(backend.one().field("transfer-encoding"), Some("chunked"));
}

#[test]
fn bodies_come_down_as_they_are() {
    let body: Vec<u8> = (0..500_000_u32).map(|number| (number >> 3) as u8).collect();
    let sent = body.clone();
    let backend = Backend::scripted(move |conn| {
        while let Some(request) = conn.request() {
            let head: String = match request.target.as_str() {
                "/length" => format!("Content-Length: {}\r\n\r\n", sent.len()),
                "/chunked" => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
                "/close" => "Connection: close\r\n\r\n".to_owned(),
                "/empty" => "Content-Length: 0\r\n\r\n".to_owned(),
                other => panic!("{other}"),
            };
            conn.send(format!("HTTP/1.1 200 OK\r\nX-Mixed-Case: Yes\r\n{head}").as_bytes());
            if request.method == "HEAD" {
                continue;
            }
            match request.target.as_str() {
                "/length" => drop(conn.send(&sent)),
                "/chunked" => {
                    for part in sent.chunks(99_999) {
                        conn.send(format!("{:x}\r\n", part.len()).as_bytes());
                        conn.send(part);
                        conn.send(b"\r\n");
                    }
                    conn.send(b"0\r\n\r\n");
                }
                "/close" => {
                    conn.send(&sent);
                    conn.close();
                    return;
                }
                _ => {}
            }
        }
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    for (target, framing) in [
        ("/length", Framing::Length(500_000)),
        ("/chunked", Framing::UntilClose),
        ("/close", Framing::UntilClose),
    ] {
        let answer = client.ask(&Request::get(target).by(&ALICE)).expect(200);
        assert_eq!(answer.framing, framing, "{target}");
        assert!(answer.body == body, "{target}: {} bytes", answer.body.len());
        // Names are in lower case (RFC 9114 §4.2); nothing of a connection's goes on.
        assert!(
            answer
                .fields
                .contains(&("x-mixed-case".into(), "Yes".into()))
        );
        for name in ["transfer-encoding", "connection"] {
            assert_eq!(answer.field(name), None, "{target}");
        }
    }
    let empty = client.ask(&Request::get("/empty").by(&ALICE)).expect(200);
    assert_eq!(empty.framing, Framing::Length(0));
    let head = client
        .ask(&Request::new("HEAD", "/length").by(&ALICE))
        .expect(200);
    assert_eq!(head.field("content-length"), Some("500000"));
    assert_eq!(head.body, b"");
}

#[test]
fn interim_answers_pass_and_continue_is_ours() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            if request.target == "/hints" {
                conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
            }
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let answer = client.ask(&Request::get("/hints").by(&ALICE)).expect(200);
    let [(103, fields)] = answer.interim.as_slice() else {
        panic!("{answer:?}");
    };
    assert_eq!(*fields, [("link".to_owned(), "</a.css>".to_owned())]);

    let request = Request::new("POST", "/upload").by(&ALICE);
    let mut stream = client.begin(&request.field("Expect", "100-continue"));
    // The body follows only once it is asked for.
    let hint = stream.interim();
    assert_eq!(hint.0, 100);
    stream.send_data(b"body").finish();
    stream.read_answer().unwrap().expect(200);
}

#[test]
fn a_length_that_is_not_kept_breaks_the_request_off() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let client = gateway.http3();
    for sent in [&b"less"[..], b"more than was said"] {
        let request = Request::new("POST", "/").by(&ALICE);
        let mut stream = client.begin(&request.field("Content-Length", "10"));
        stream.send_data(sent).finish();
        assert_eq!(stream.reset(), MESSAGE_ERROR, "{sent:?}");
    }
    client
        .ask(&Request::post("/", b"ten bytes.").by(&ALICE))
        .expect(200);
    let whole = backend
        .take()
        .into_iter()
        .filter(|request| request.complete);
    assert_eq!(whole.count(), 1);
}

#[test]
fn trailers_are_checked_and_dropped() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let mut stream = client.begin(&Request::new("POST", "/").by(&ALICE));
    stream
        .send_data(b"body")
        .send_trailers(&[("x-auth-username", "bob")]);
    stream.finish().read_answer().unwrap().expect(200);
    let received = backend.one();
    assert_eq!(received.body, b"body");
    assert!(!backend.saw(b"bob"), "{received:?}");

    let mut stream = client.begin(&Request::new("POST", "/").by(&ALICE));
    stream
        .send_data(b"body")
        .send_trailers(&[(":path", "/other")]);
    stream.finish();
    assert_eq!(stream.reset(), MESSAGE_ERROR);
}

#[test]
fn what_a_back_end_breaks_off_does_not_look_whole() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            let head: &[u8] = match request.target.as_str() {
                "/length" => b"Content-Length: 100\r\n\r\nhalf",
                "/chunked" => b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
                "/nothing" => return conn.close(),
                "/bad" => b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
                _ => b"Content-Length: 2\r\n\r\nok",
            };
            conn.send(b"HTTP/1.1 200 OK\r\n");
            conn.send(head);
            if request.target != "/" {
                return conn.close();
            }
        }
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    for target in ["/length", "/chunked"] {
        let mut stream = client.begin(&Request::get(target).by(&ALICE));
        stream.finish();
        assert_eq!(stream.reset(), INTERNAL_ERROR, "{target}");
        let cut = client.try_ask(&Request::get(target).by(&ALICE));
        assert!(cut.is_err(), "{target}: {cut:?}");
    }
    for target in ["/nothing", "/bad"] {
        client
            .ask(&Request::get(target).by(&ALICE))
            .expect_json(502);
    }
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn a_websocket_is_relayed() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.head() {
            if request.target == "/refused" {
                conn.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
                continue;
            }
            assert_eq!(request.method, "GET");
            assert_eq!(request.field("upgrade"), Some("websocket"));
            assert_eq!(request.field("connection"), Some("Upgrade"));
            assert_eq!(request.field("sec-websocket-protocol"), Some("chat"));
            assert_eq!(request.field("x-auth-username"), Some(ALICE.name));
            let key = request.field("sec-websocket-key").expect("a key");
            assert_eq!(key.len(), 24);
            conn.send(SWITCHING);
            // As it comes: a frame of text, masked, and back again without a mask.
            let frame = conn.exactly(11).expect("a frame");
            let mask = &frame[2..6];
            let text: Vec<u8> = (0..5).map(|at| frame[6 + at] ^ mask[at % 4]).collect();
            conn.send(&[&[0x81, 5], &text[..]].concat());
            conn.exactly(8).expect("a close frame");
            conn.send(&[0x88, 2, 3, 232]);
            conn.close();
            return;
        }
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let request = Request::get("/refused").by(&ALICE).fields(HANDSHAKE);
    client.begin(&request).read_answer().unwrap().expect(403);
    let request = Request::get("/ws").by(&ALICE).fields(HANDSHAKE);
    let mut stream = client.begin(&request.field("Sec-WebSocket-Protocol", "chat"));
    let answer = stream.read_answer().unwrap().expect(200);
    assert_eq!(answer.field("upgrade"), None, "{answer:?}");
    stream.send_data(&[
        0x81,
        0x85,
        1,
        2,
        3,
        4,
        b'h' ^ 1,
        b'e' ^ 2,
        b'l' ^ 3,
        b'l' ^ 4,
        b'o' ^ 1,
    ]);
    assert_eq!(stream.exactly(7), [&[0x81, 5][..], b"hello"].concat());
    stream
        .send_data(&[0x88, 0x82, 1, 2, 3, 4, 3 ^ 1, 232 ^ 2])
        .finish();
    assert_eq!(stream.exactly(4), [0x88, 2, 3, 232]);
    stream.expect_end();
    gateway.counted(
        "connect_gateway_tunnels_ended_total",
        &[("reason", "closed")],
        1.0,
    );
    let line = gateway.logged("the tunnel", |line| line["path"] == "/ws");
    assert_eq!(line["websocket"], true);
    assert_eq!(line["protocol"], "h3");
}

/// RFC 9220 §3: 501, so that a client knows that it need not try again.
#[test]
fn of_extended_connect_websocket_alone_is_served() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let client = gateway.http3();
    for protocol in ["connect-udp", "webtransport", "websocket2"] {
        let mut bytes = BytesMut::new();
        let (host, protocol) = (CONNECT.as_bytes(), protocol.as_bytes());
        let mut head = HeadWriter::request(&mut bytes, b"CONNECT", host, b"/ws", Some(protocol));
        head.field(b"sec-websocket-version", b"13");
        head.finish();
        let mut stream = client.open();
        let answer = stream.send_raw(&bytes).read_answer().unwrap();
        let answer = answer.expect_json(501);
        assert!(answer.text().contains("WebSocket alone"), "{answer:?}");
    }
    let refused = [("reason", "bad_head")];
    gateway.counted("connect_gateway_refusals_total", &refused, 3.0);
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    assert_eq!(backend.one().target, "/");
}

#[test]
fn a_bad_network_breaks_no_transfer() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            let body = &request.body;
            conn.send(
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(),
            );
            conn.send(body);
        }
    });
    let gateway = gateway(&backend);
    // Not much more than every path of QUIC's carries (RFC 9000 §14).
    let network = Lossy::to(gateway.address(), 1252);
    let client = Http3::connect(network.address(), gateway.http3_tls(), CONNECT);
    let body: Vec<u8> = (0..scale(1_000_000, 10_000_000_u32))
        .map(|number| (number >> 5) as u8)
        .collect();
    for _ in 0..2 {
        let answer = client
            .ask(&Request::post("/", &body).by(&ALICE))
            .expect(200);
        assert!(answer.body == body, "{} bytes", answer.body.len());
    }
    assert!(network.lost() > 50, "{}", network.lost());
}
