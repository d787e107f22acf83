//! Faults while the gateway connects to its back-end, and what only TLS can tell.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use gateway_tests::harness::{App, Authority, Backend, GENERIC, Pool, Setup, accept, poll};
use gateway_tests::relay::{Fault, Relay, Way};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::site::{Got, Site, get, got, impatient, order, serve};

#[test]
fn a_server_that_answers_no_connection() {
    let (address, _held) = deaf();
    let gateway = impatient(
        Setup::new()
            .pool(Pool::plain("connect", address))
            .app(App::connect()),
    )
    .start();
    gateway.ask(&get("/x")).expect_json(504);
    let line = gateway.logged("it", |line| line["path"] == "/x");
    assert_eq!(line["reason"], "upstream_connect_timeout");
    assert_eq!(
        (&line["upstream"], &line["upstream_status"]),
        (&Value::Null, &Value::Null)
    );
    assert!(
        line["error"]
            .as_str()
            .unwrap()
            .contains(&address.to_string()),
        "{line}"
    );
    let labels = [("cause", "upstream_connect_timeout")];
    gateway.counted("connect_gateway_upstream_errors_total", &labels, 1.0);
}

#[test]
fn a_server_that_answers_no_connection_is_passed_over() {
    let (address, _held) = deaf();
    let backend = Backend::scripted(serve);
    let pool = Pool::plain("two", address).and(&format!("http://{}", backend.address()));
    let gateway = impatient(Setup::new().pool(pool).app(App::generic("two"))).start();
    for _ in 0..2 {
        gateway.ask_on(GENERIC, get("/once")).expect(200);
    }
    assert_eq!(backend.connections(), 2);
}

#[test]
fn handshakes_with_a_back_end_that_fail() {
    let site = tls_site();
    for (way, after) in [
        (Way::Up, 0),
        (Way::Up, 100),
        (Way::Down, 0),
        (Way::Down, 100),
    ] {
        for (name, fault) in super::back_end_leg::faults() {
            let target = format!("/length/{way:?}/{after}/{name}");
            site.relay.next(&[order(way, after, fault)]);
            let answer = got(site.gateway.client().send(&get(&target).bytes()));
            let line = site.line(&target);
            let (status, reason) = match fault {
                Fault::Delay(_) => (200, Value::Null),
                Fault::Cut | Fault::Reset => (502, Value::from("upstream_connect")),
                _ => (504, Value::from("upstream_connect_timeout")),
            };
            assert_eq!(
                (answer, &line["reason"]),
                (Got::Answer(status), &reason),
                "{line}"
            );
            if let Some(reason) = reason.as_str() {
                assert!(
                    line["error"].is_string() && line["upstream"].is_null(),
                    "{line}"
                );
                let failures = site.failures(reason);
                let lines = site
                    .gateway
                    .process_log()
                    .matches(&format!("\"{reason}\""))
                    .count();
                assert_eq!(failures as usize, lines, "{target}");
            } else {
                // Whatever the gateway keeps is used up.
                site.gateway.ask(&get("/once")).expect(200);
            }
            site.still_works();
        }
    }
}

#[test]
fn an_answer_until_close_over_tls_ends_with_close_notify_only() {
    let site = tls_site();
    for (target, fault) in [("/half/cut", Fault::Cut), ("/half/reset", Fault::Reset)] {
        let mut client = site.gateway.client();
        client.send(&get(target).bytes());
        assert_eq!(client.answer_head().status, 200);
        assert!(!client.chunk().is_empty());
        site.relay.strike(Way::Down, fault);
        // In plain the first of them would be the end of the answer.
        client.expect_end();
        let line = site.line(target);
        assert_eq!(
            (&line["status"], &line["reason"]),
            (&Value::from(200), &Value::Null)
        );
        assert!(line["error"].is_string(), "{line}");
        site.still_works();
    }
    site.gateway.counted(
        "connect_gateway_upstream_errors_total",
        &[("cause", "upstream_closed")],
        2.0,
    );
    // A clean end is one.
    assert_eq!(
        got(site.gateway.client().send(&get("/close").bytes())),
        Got::Answer(200)
    );
}

/// As [`Site::start`], over TLS.
fn tls_site() -> Site {
    let ca = Authority::new("back-end CA");
    let backend = Backend::scripted_tls(accept(&ca.server(&["127.0.0.1"])), serve);
    let relay = Relay::to(backend.address());
    let setup = Setup::new();
    setup.write("back-ca.pem", &ca.pem());
    let url = format!("https://{}", relay.address());
    let setup = setup
        .line("gateway", "workers = 1")
        .pool(Pool::tls("connect", "back-ca.pem", &[(&url, &[])]))
        .app(App::connect());
    Site {
        gateway: impatient(setup).start(),
        relay,
        backend,
    }
}

/// A listener whose queue is full: the kernel drops what else would connect, without a word.
/// It is so for as long as what is returned lives.
fn deaf() -> (SocketAddr, (Socket, Vec<TcpStream>)) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut queued = Vec::new();
    poll::until("the queue is full", || {
        match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            Ok(stream) => {
                queued.push(stream);
                None
            }
            Err(_) => Some(()),
        }
    });
    (address, (socket, queued))
}
