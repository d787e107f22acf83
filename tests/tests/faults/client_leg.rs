//! Faults between a client and the gateway: nothing of it stays, and the back-end is let go.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use gateway_tests::harness::{ALICE, HANDSHAKE, Request, poll};
use gateway_tests::relay::{Fault, Relay, Way};
use serde_json::Value;

use super::site::{LONG, Site, get, is_silent, order};

#[test]
fn handshakes_with_a_client_that_fail() {
    for (_, fault) in faults() {
        let (site, relay) = front(fault);
        let mut client = TcpStream::connect(relay.address()).unwrap();
        // The beginning of a handshake.
        client
            .write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
            .unwrap();
        poll::until("it has arrived", || {
            (relay.passed(Way::Up) == 9).then_some(())
        });
        relay.strike(Way::Up, fault);
        nothing_is_left(&site);
        let failures = "connect_gateway_tls_handshake_failures_total";
        site.gateway.counted(failures, &[], 1.0);
        assert_eq!(site.gateway.access_log(), [] as [Value; 0]);
        site.still_works();
    }
}

#[test]
fn request_heads_that_break_off() {
    for (name, fault) in faults() {
        let (site, relay) = front(fault);
        let mut client = site.gateway.client_by(relay.address());
        client.send(b"GET /never HTTP/1.1\r\nHost: connect.test\r\nX-");
        let passed = || relay.passed(Way::Up);
        poll::settled("half a head", Duration::from_millis(50), passed);
        // That nothing more comes is all that there is to a stall.
        if !is_silent(fault) {
            relay.strike(Way::Up, fault);
        }
        if let Fault::Stall(_) = fault {
            client.answer().expect_json(408);
            let line = site
                .gateway
                .logged(name, |line| line["reason"] == "head_timeout");
            assert_eq!(line["status"], 408);
            drop(client);
            relay.strike(Way::Down, Fault::Cut);
        }
        nothing_is_left(&site);
        assert!(!site.backend.saw(b"/never"));
        // Half a head is no request, unless it is refused.
        let lines = site.gateway.access_log().len();
        assert_eq!(lines, usize::from(is_silent(fault)), "{name}");
        site.still_works();
    }
}

#[test]
fn uploads_that_break_off() {
    for (name, fault) in faults() {
        let (site, relay) = front(fault);
        let target = format!("/upload/{name}");
        let request = Request::new("POST", &target).by(&ALICE);
        let mut client = site.gateway.client_by(relay.address());
        client.send(&request.field("Content-Length", "100000").bytes());
        client.send(&[b'x'; 50_000]);
        poll::until("half of it is there", || {
            (site.relay.passed(Way::Up) > 50_000).then_some(())
        });
        relay.strike(Way::Up, fault);
        let (status, reason) = match fault {
            Fault::Stall(_) => (Value::from(408), Value::from("body_timeout")),
            _ => (Value::Null, Value::Null),
        };
        if !status.is_null() {
            client.answer().expect_json(408);
            relay.strike(Way::Up, Fault::Cut);
        }
        let line = site.line(&target);
        assert_eq!(
            (&line["status"], &line["reason"]),
            (&status, &reason),
            "{line}"
        );
        assert_eq!(line["bytes_in"], 50_000, "{line}");
        // Why an answer of the gateway's was given is its reason.
        assert_eq!(line["error"].is_string(), status.is_null(), "{line}");
        nothing_is_left(&site);
        drop(client);
        assert_eq!(site.failures("upstream_closed"), 0.0, "not its fault");
        site.still_works();
    }
}

#[test]
fn clients_that_vanish_while_they_wait() {
    for (name, fault) in [("cut", Fault::Cut), ("reset", Fault::Reset)] {
        let (site, relay) = front(fault);
        let target = format!("/half/{name}");
        // Nothing of the answer reaches the gateway.
        site.relay.next(&[order(Way::Down, 0, Fault::Stall(LONG))]);
        let mut client = site.gateway.client_by(relay.address());
        client.send(&get(&target).bytes());
        poll::until("the request is there", || {
            site.backend.saw(target.as_bytes()).then_some(())
        });
        relay.strike(Way::Up, fault);
        let line = site.line(&target);
        assert_eq!(
            (&line["status"], &line["reason"]),
            (&Value::Null, &Value::Null),
            "{line}"
        );
        assert!(line["error"].as_str().unwrap().contains("client"), "{line}");
        nothing_is_left(&site);
        site.still_works();
    }
}

#[test]
fn clients_that_vanish_within_their_answer() {
    for (name, fault) in [("cut", Fault::Cut), ("reset", Fault::Reset)] {
        let (site, relay) = front(fault);
        let target = format!("/half/{name}");
        let mut client = site.gateway.client_by(relay.address());
        client.send(&get(&target).bytes());
        assert_eq!(client.answer_head().status, 200);
        relay.strike(Way::Up, fault);
        let line = site.line(&target);
        assert_eq!(
            (&line["status"], &line["upstream_status"]),
            (&Value::from(200), &Value::from(200))
        );
        assert!(line["error"].as_str().unwrap().contains("client"), "{line}");
        nothing_is_left(&site);
        assert_eq!(site.failures("upstream_closed"), 0.0, "not its fault");
        site.still_works();
    }
}

#[test]
fn tunnels_whose_client_vanishes() {
    for (name, fault) in faults() {
        let (site, relay) = front(fault);
        let target = format!("/ws/{name}");
        let mut client = site.gateway.client_by(relay.address());
        client.send(&get(&target).fields(HANDSHAKE).bytes());
        client.answer().expect(101);
        client.send(b"before").raw(6);
        relay.strike(Way::Up, fault);
        if let Fault::Stall(_) = fault {
            client.send(b"after").expect_end();
            relay.strike(Way::Up, Fault::Cut);
        }
        let line = site.line(&target);
        assert_eq!(
            (&line["status"], &line["bytes_in"]),
            (&Value::from(101), &Value::from(6))
        );
        nothing_is_left(&site);
        let metrics = site.gateway.metrics();
        assert_eq!(metrics.sum("connect_gateway_tunnels_open", &[]), 0.0);
        site.still_works();
    }
}

/// A site, and a relay before its gateway.
fn front(fault: Fault) -> (Site, Relay) {
    let site = match is_silent(fault) {
        true => Site::impatient(),
        false => Site::start(),
    };
    let relay = Relay::to(site.gateway.address());
    (site, relay)
}

/// What can befall a client's own direction.
fn faults() -> [(&'static str, Fault); 3] {
    [
        ("cut", Fault::Cut),
        ("reset", Fault::Reset),
        ("stall", Fault::Stall(LONG)),
    ]
}

/// No client's connection is open at the gateway, and none of the gateway's at the back-end.
#[track_caller]
fn nothing_is_left(site: &Site) {
    poll::until("the client's connection is over", || {
        let metrics = site.gateway.metrics();
        (metrics.sum("connect_gateway_connections_open", &[]) == 0.0).then_some(())
    });
    poll::until("the back-end's connection is over", || {
        (site.relay.open() == 0).then_some(())
    });
}
