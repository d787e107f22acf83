//! One message after the other: order, persistence, framing.

use std::time::Duration;

use gateway_tests::harness::{ALICE, Backend, Framing, OK, Request, Setup};

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
            "HEAD",
            b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            None,
        ),
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
