//! Places for connections: how many there are, in total and for one address; that what is refused
//! is refused at once and costs nobody else anything; that each place comes back.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use gateway_tests::harness::{
    ALICE, App, Backend, Gateway, HANDSHAKE, OK, Pool, Request, Setup, poll, tcp_from,
};
use socket2::SockRef;

#[test]
fn beyond_the_total_connections_are_reset_and_admitted_ones_go_on() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("gateway", "workers = 2")
        .line("limits", "connections = 3")
        .start();
    let mut admitted: Vec<_> = (0..3).map(|_| gateway.client()).collect();
    for source in ["127.0.0.1", "127.0.0.2"] {
        for _ in 0..50 {
            let started = Instant::now();
            expect_reset(connect(&gateway, source));
            assert!(started.elapsed() < poll::stretched(Duration::from_secs(1)));
        }
    }
    for client in &mut admitted {
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
    let metrics = gateway.metrics();
    let refused = |reason| {
        metrics.sum(
            "connect_gateway_connections_refused_total",
            &[("listener", "public"), ("reason", reason)],
        )
    };
    assert_eq!((refused("total"), refused("address")), (100.0, 0.0));
    let taken_up = metrics.sum("connect_gateway_connections_total", &[]);
    assert_eq!(taken_up, 3.0);
    // One line for each worker, not for each connection.
    let log = gateway.process_log();
    let lines = log.matches("connections refused").count();
    assert!((1..=2).contains(&lines), "{log}");

    // A place that is given up is there for the next.
    drop(admitted.pop());
    let mut next = next_client(&gateway);
    next.ask(&Request::get("/").by(&ALICE)).expect(200);
    expect_reset(connect(&gateway, "127.0.0.1"));
}

#[test]
fn an_address_has_its_share_and_no_other_suffers() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("limits", "connections_per_address = 2")
        .start();
    let mut mine: Vec<_> = (0..2)
        .map(|_| gateway.client_over(gateway.tcp_from("127.0.0.2")))
        .collect();
    for _ in 0..20 {
        expect_reset(connect(&gateway, "127.0.0.2"));
    }
    let mut other = gateway.client_over(gateway.tcp_from("127.0.0.3"));
    other.ask(&Request::get("/").by(&ALICE)).expect(200);
    for client in &mut mine {
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
    let labels = [("listener", "public"), ("reason", "address")];
    let refused = gateway.counted("connect_gateway_connections_refused_total", &labels, 20.0);
    assert_eq!(refused, 20.0);
    // Without TLS a refused connection was never taken up.
    let taken_up = gateway
        .metrics()
        .sum("connect_gateway_connections_total", &[]);
    assert_eq!(taken_up, 3.0);
}

#[test]
fn a_crowd_at_one_listener_takes_no_place_of_anothers() {
    let backend = Backend::recording();
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().line("listeners = [\"public\", \"narrow\"]"))
        .line("limits", "connections = 3")
        .listener("narrow", &["limits = { connections = 1 }"])
        .start();
    let narrow = gateway.address_of("narrow");
    let mut only = gateway.client_by(narrow);
    let mut public: Vec<_> = (0..3).map(|_| gateway.client()).collect();
    let source = "127.0.0.1".parse().unwrap();
    for _ in 0..5 {
        expect_reset(tcp_from(source, narrow));
    }
    expect_reset(connect(&gateway, "127.0.0.1"));
    for client in public.iter_mut().chain([&mut only]) {
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
    for (listener, refusals) in [("narrow", 5.0), ("public", 1.0)] {
        let labels = [("listener", listener), ("reason", "total")];
        let refused = gateway.counted(
            "connect_gateway_connections_refused_total",
            &labels,
            refusals,
        );
        assert_eq!(refused, refusals, "{listener}");
    }
}

/// With a single place, one that is not given back is the end of all service.
#[test]
fn every_end_gives_the_place_back() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            if request.field("upgrade").is_some() {
                conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
                conn.read_out();
                return;
            }
            if request.target.starts_with("/cut") {
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                return;
            }
            conn.send(OK);
        }
    });
    let gateway = Setup::connect(&backend)
        .line("gateway", "workers = 1")
        .line("limits", "connections = 1")
        .line("timeouts", "head = \"300ms\"")
        .line("timeouts", "idle = \"300ms\"")
        .start();
    let ends = [
        End("a closed request", |gateway| {
            next_client(gateway)
                .ask(&Request::get("/").by(&ALICE).field("Connection", "close"))
                .expect(200);
        }),
        End("an idle time-out", |gateway| {
            let mut client = next_client(gateway);
            client.ask(&Request::get("/").by(&ALICE)).expect(200);
            client.expect_clean_end();
        }),
        End("a bad head", |gateway| {
            let mut client = next_client(gateway);
            client.send(b"GET / HTTP/9.9\r\n\r\n");
            client.answer().expect(400);
        }),
        End("no handshake", |gateway| {
            let mut tcp = next_tcp(gateway);
            assert_eq!(tcp.read(&mut [0]).unwrap_or(0), 0);
        }),
        End("garbage for a handshake", |gateway| {
            let mut tcp = next_tcp(gateway);
            tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            while tcp.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        }),
        End("a reset in a handshake", |gateway| {
            let mut tcp = next_tcp(gateway);
            tcp.write_all(b"\x16\x03\x01\x02").unwrap();
            SockRef::from(&tcp)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }),
        End("a client that vanishes", |gateway| {
            let mut client = next_client(gateway);
            client.send(&Request::get("/").by(&ALICE).bytes());
        }),
        End("an answer that is cut", |gateway| {
            let mut client = next_client(gateway);
            client.send(&Request::get("/cut").by(&ALICE).bytes());
            assert!(client.read_answer(false).is_err());
        }),
        End("a tunnel", |gateway| {
            let mut client = next_client(gateway);
            let upgrade = Request::get("/websocket/").by(&ALICE).fields(HANDSHAKE);
            client.send(&upgrade.bytes());
            client.answer_head().expect(101);
        }),
    ];
    for round in 0..2 {
        for End(what, end) in &ends {
            eprintln!("round {round}: {what}");
            end(&gateway);
        }
    }
    next_client(&gateway)
        .ask(&Request::get("/").by(&ALICE))
        .expect(200);
    let open = || {
        gateway
            .metrics()
            .sum("connect_gateway_connections_open", &[])
    };
    poll::until("no connection is open", || (open() == 0.0).then_some(()));
}

/// What ends a connection, and how.
struct End(&'static str, fn(&Gateway));

/// Whoever is refused may see that before the connection.
fn connect(gateway: &Gateway, source: &str) -> io::Result<TcpStream> {
    tcp_from(source.parse().unwrap(), gateway.address())
}

/// A connection that is taken, as soon as there is a place: then nothing comes for a while.
fn next_tcp(gateway: &Gateway) -> TcpStream {
    poll::until("a connection is taken", || {
        let mut tcp = connect(gateway, "127.0.0.1").ok()?;
        tcp.set_read_timeout(Some(Duration::from_millis(30)))
            .unwrap();
        let read = tcp.read(&mut [0]);
        tcp.set_read_timeout(Some(poll::patience())).unwrap();
        let taken = |error: io::Error| error.kind() == ErrorKind::WouldBlock;
        read.is_err_and(taken).then_some(tcp)
    })
}

fn next_client(gateway: &Gateway) -> gateway_tests::harness::Client {
    gateway.client_over(next_tcp(gateway))
}

#[track_caller]
fn expect_reset(connected: io::Result<TcpStream>) {
    let read = connected.and_then(|mut tcp| tcp.read(&mut [0]));
    let error = read.expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}
