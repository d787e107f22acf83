//! Faults between the gateway and its back-end, once they are connected.

use std::time::Duration;

use gateway_tests::harness::{ALICE, Client, HANDSHAKE, Request, poll, scale};
use gateway_tests::relay::{Fault, Way};
use serde_json::Value;

use super::site::{Got, LONG, Site, Sites, get, got, head, order};

#[test]
fn answers_by_length_that_fail() {
    answers_that_fail("length");
}

#[test]
fn answers_in_chunks_that_fail() {
    answers_that_fail("chunked");
}

#[test]
fn answers_until_close_that_fail() {
    answers_that_fail("close");
}

/// Each fault before the answer, within its head, and within its body.
#[track_caller]
fn answers_that_fail(framing: &str) {
    let sites = Sites::start();
    let head = u64::try_from(head(framing).len()).unwrap();
    for (place, after) in [("before", 0), ("head", 10), ("body", head + 1700)] {
        for (name, fault) in faults() {
            // The end of the connection would follow, as it never does on a real network.
            if (framing, fault) == ("close", Fault::Lose) {
                continue;
            }
            let site = sites.under(fault);
            let target = format!("/{framing}/{place}/{name}");
            let expected = match (place, fault) {
                (_, Fault::Delay(_)) => Expected::Whole,
                // On plain TCP this is how such an answer ends; `/close/` over TLS is in
                // `connecting`.
                ("body", Fault::Cut) if framing == "close" => Expected::Short,
                ("body", Fault::Cut | Fault::Reset) => Expected::Part("upstream_closed"),
                ("body", _) => Expected::Part("upstream_timeout"),
                (_, Fault::Cut | Fault::Reset) => Expected::Refused(502, "upstream_closed"),
                (_, _) => Expected::Refused(504, "upstream_timeout"),
            };
            site.relay.next(&[order(Way::Down, after, fault)]);
            let mut client = site.gateway.client();
            client.send(&get(&target).bytes());
            check(site, &target, &mut client, expected);
        }
    }
}

#[test]
fn request_heads_that_fail() {
    let sites = Sites::start();
    for (name, fault) in faults() {
        let site = sites.under(fault);
        let target = format!("/length/{name}");
        site.relay.next(&[order(Way::Up, 10, fault)]);
        let mut client = site.gateway.client();
        client.send(&get(&target).bytes());
        let expected = match fault {
            Fault::Delay(_) => Expected::Whole,
            Fault::Cut | Fault::Reset => Expected::Refused(502, "upstream_closed"),
            _ => Expected::Refused(504, "upstream_timeout"),
        };
        check(site, &target, &mut client, expected);
    }
}

#[test]
fn uploads_that_fail() {
    let sites = Sites::start();
    for (name, fault) in faults() {
        for chunked in [false, true] {
            let site = sites.under(fault);
            let target = format!("/upload/{name}/{chunked}");
            site.relay.next(&[order(Way::Up, 100_000, fault)]);
            let mut client = site.gateway.client();
            // More than all buffers on the way can hold.
            let part = vec![b'x'; 1 << 16];
            let request = Request::new("POST", &target).by(&ALICE);
            let parts = 320;
            if chunked {
                let request = request.field("Transfer-Encoding", "chunked");
                client.send(&request.bytes());
                let chunk = [b"10000\r\n", &part[..], b"\r\n"].concat();
                // The gateway takes no more once it has answered.
                let whole = (0..parts).all(|_| client.try_send(&chunk).is_ok());
                let _gone = whole && client.try_send(b"0\r\n\r\n").is_ok();
            } else {
                let length = parts * part.len();
                let request = request.field("Content-Length", &length.to_string());
                client.send(&request.bytes());
                let _gone = (0..parts).all(|_| client.try_send(&part).is_ok());
            }
            let expected = match fault {
                Fault::Delay(_) => Expected::Whole,
                Fault::Cut | Fault::Reset => Expected::Refused(502, "upstream_closed"),
                _ => Expected::Refused(504, "upstream_timeout"),
            };
            check(site, &target, &mut client, expected);
        }
    }
}

#[test]
fn tunnels_that_fail() {
    let sites = Sites::start();
    for way in [Way::Down, Way::Up] {
        for (name, fault) in faults() {
            let site = sites.under(fault);
            let target = format!("/ws/{way:?}/{name}");
            let mut client = site.gateway.client();
            client.send(&get(&target).fields(HANDSHAKE).bytes());
            client.answer().expect(101);
            client.send(b"before").raw(6);
            site.relay.strike(way, fault);
            if let Fault::Delay(_) = fault {
                assert_eq!(client.send(b"after").raw(5), b"after");
            } else {
                // It may have ended already.
                let _gone = client.try_send(b"after");
                client.expect_end();
            }
            drop(client);
            let line = site.line(&target);
            assert_eq!(
                (&line["status"], &line["bytes_out"]),
                (
                    &Value::from(101),
                    &Value::from(if let Fault::Delay(_) = fault { 11 } else { 6 })
                ),
                "{line}"
            );
            poll::until("the tunnel is counted as over", || {
                let metrics = site.gateway.metrics();
                (metrics.sum("connect_gateway_tunnels_open", &[]) == 0.0).then_some(())
            });
            // A relay that takes nothing from the gateway does not see that it has gone.
            if (way, name) != (Way::Up, "stall") {
                poll::until("the back-end's connection has ended", || {
                    (site.relay.open() == 0).then_some(())
                });
            }
            site.still_works();
        }
    }
}

#[test]
fn a_reused_connection_that_fails() {
    // The first answer is whole; the fault strikes the second one's first byte, or its request's.
    let whole = u64::try_from(head("length").len() + super::site::BODY).unwrap();
    let sites = Sites::start();
    for (name, fault) in faults() {
        for (method, place) in [("GET", 0), ("GET", 10), ("POST", 0)] {
            let site = sites.under(fault);
            let target = format!("/length/{method}/{place}/{name}");
            site.relay.next(&[order(Way::Down, whole + place, fault)]);
            let mut client = site.gateway.client();
            client.ask(&get("/length/warm")).expect(200);
            let before = site.relay.connections();
            client.send(&Request::new(method, &target).by(&ALICE).bytes());
            let lost = matches!(fault, Fault::Cut | Fault::Reset);
            let expected = match (method, place, fault) {
                (_, _, Fault::Delay(_)) => Expected::Whole,
                // Nothing of an answer came: it can be asked for again, on a new connection.
                ("GET", 0, _) if lost => Expected::Whole,
                // It came in part, or the request might have been acted upon.
                (_, _, _) if lost => Expected::Refused(502, "upstream_closed"),
                // The back-end may be at work on it.
                _ => Expected::Refused(504, "upstream_timeout"),
            };
            check(site, &target, &mut client, expected);
            let again = site.relay.connections() - before;
            // The last one is the check's own.
            let retried = ("GET", 0) == (method, place) && lost;
            let kept = matches!(fault, Fault::Delay(_)) || retried;
            assert_eq!(again, usize::from(retried) + usize::from(!kept), "{target}");
        }
    }
}

/// What a fault comes to.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// The client can see that its answer is not whole; the cause in the metrics.
    Part(&'static str),
    /// The gateway's own answer; the reason and cause.
    Refused(u16, &'static str),
    /// An answer whose end nobody could miss.
    Short,
    /// All is well.
    Whole,
}

/// The outcome, as the client, the log and the metrics tell it. Then all is well again.
#[track_caller]
fn check(site: &Site, target: &str, client: &mut Client, expected: Expected) {
    if let Expected::Short = expected {
        let answer = client.answer().expect(200);
        assert!(super::site::body().starts_with(&answer.body), "{target}");
        assert_eq!(site.line(target)["error"], Value::Null);
        return site.still_works();
    }
    let got = got(client);
    let line = site.line(target);
    let (answer, reason, upstream_status) = match expected {
        Expected::Part(_) => (Got::Part, Value::Null, Value::from(200)),
        Expected::Refused(status, reason) => {
            (Got::Answer(status), Value::from(reason), Value::Null)
        }
        Expected::Short | Expected::Whole => (Got::Answer(200), Value::Null, Value::from(200)),
    };
    assert_eq!(got, answer, "{target}: {line}");
    let status = match got {
        Got::Answer(status) => status,
        _ => 200,
    };
    assert_eq!(line["status"], status, "{line}");
    assert_eq!(line["reason"], reason, "{line}");
    assert_eq!(line["upstream_status"], upstream_status, "{line}");
    match expected {
        Expected::Part(cause) | Expected::Refused(_, cause) => {
            assert!(line["error"].is_string(), "{line}");
            let id = line["request_id"].as_str().unwrap();
            // Each is counted once and said once.
            let said = site.gateway.said(&[id]);
            assert!(said.contains(cause), "{said}");
            let log = site.gateway.process_log();
            let counted: f64 = ["upstream_closed", "upstream_timeout"]
                .map(|cause| site.failures(cause))
                .iter()
                .sum();
            let lines = log.matches("\"back-end failed").count();
            assert_eq!(counted as usize, lines, "{target}");
            site.still_works();
        }
        Expected::Short | Expected::Whole => {
            assert_eq!(line["error"], Value::Null, "{line}");
            // What the gateway keeps is used up, so that the next orders find a new connection.
            site.gateway.ask(&get("/once")).expect(200);
        }
    }
}

/// Each with a name of its own. The last is as silent as the one before it, and takes as long: the
/// short form does without.
pub(crate) fn faults() -> Vec<(&'static str, Fault)> {
    let faults = [
        ("cut", Fault::Cut),
        ("delay", Fault::Delay(Duration::from_millis(100))),
        ("reset", Fault::Reset),
        ("stall", Fault::Stall(LONG)),
        ("lose", Fault::Lose),
    ];
    faults[..scale(4, 5)].to_vec()
}
