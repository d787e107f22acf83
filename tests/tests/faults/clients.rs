//! No answer that was cut short looks whole, to curl and to Python's HTTP client.

use std::net::SocketAddr;
use std::process::Command;

use gateway_tests::harness::{ALICE, CONNECT, Finished, tool};
use gateway_tests::relay::{Fault, Relay, Way};

use super::site::{BODY, Site, head, order};

#[test]
fn curl_sees_every_answer_that_was_cut_short() {
    every_cut_is_seen(
        &[
            ("length", "--http1.1"),
            ("chunked", "--http1.1"),
            ("close", "--http1.1"),
            // Their answers end with the connection: only TLS can tell.
            ("length", "--http1.0"),
            ("chunked", "--http1.0"),
            ("close", "--http1.0"),
        ],
        curl,
    );
}

#[test]
fn python_sees_every_answer_that_was_cut_short() {
    every_cut_is_seen(&[("length", ""), ("chunked", ""), ("close", "")], python);
}

/// In each framing, by a fault of the back-end's leg or of the client's.
#[track_caller]
fn every_cut_is_seen(cases: &[(&str, &str)], client: fn(&Site, SocketAddr, &str, &str) -> Seen) {
    let site = Site::start();
    for (framing, option) in cases {
        let path = format!("/{framing}/client{option}");
        let whole = Seen {
            whole: true,
            length: BODY,
        };
        assert_eq!(
            client(&site, site.gateway.address(), &path, option),
            whole,
            "{path}"
        );
        for fault in [Fault::Cut, Fault::Reset] {
            // On plain TCP, the end of the connection is the end of the back-end's answer.
            if (*framing, fault) == ("close", Fault::Cut) {
                continue;
            }
            use_up(&site);
            let within = u64::try_from(head(framing).len() + BODY / 2).unwrap();
            site.relay.next(&[order(Way::Down, within, fault)]);
            let seen = client(&site, site.gateway.address(), &path, option);
            assert!(
                !seen.whole && seen.length < BODY,
                "{path} {fault:?}: {seen:?}"
            );
        }
        use_up(&site);
        let relay = Relay::to(site.gateway.address());
        for fault in [Fault::Cut, Fault::Reset] {
            // Within the answer's last record, or at its end, wherever the handshake's end is.
            relay.next(&[]);
            let before = relay.passed(Way::Down);
            assert_eq!(client(&site, relay.address(), &path, option), whole);
            let total = relay.passed(Way::Down) - before;
            for missing in [40, 1000] {
                relay.next(&[order(Way::Down, total - missing, fault)]);
                let seen = client(&site, relay.address(), &path, option);
                assert!(
                    !seen.whole,
                    "{path} {fault:?}, {missing} bytes of TLS short: {seen:?}"
                );
            }
        }
        use_up(&site);
    }
}

/// What the gateway keeps of back-end connections is used up.
fn use_up(site: &Site) {
    site.relay.next(&[]);
    site.gateway.ask(&super::site::get("/once")).expect(200);
}

/// What a client makes of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    whole: bool,
    length: usize,
}

fn curl(site: &Site, address: SocketAddr, path: &str, option: &str) -> Seen {
    let file = site.gateway.prepared.dir.path().join("curl");
    let port = address.port();
    let done = Finished::run(
        Command::new(tool("curl"))
            .args(["--silent", "--show-error", "--no-alpn", option, "--cacert"])
            .arg(site.gateway.prepared.dir.path().join("ca.pem"))
            .args(["--connect-to", &format!("{CONNECT}:443:127.0.0.1:{port}")])
            .args(["--user", &format!("{}:{}", ALICE.name, ALICE.password)])
            .arg("--output")
            .arg(&file)
            .arg(format!("https://{CONNECT}{path}")),
    );
    // curl(1): 18, a partial file; 52, nothing at all; 56, failure in receiving.
    assert!(matches!(done.code, Some(0 | 18 | 52 | 56)), "{done:?}");
    Seen {
        whole: done.code == Some(0),
        length: usize::try_from(std::fs::metadata(&file).map_or(0, |file| file.len())).unwrap(),
    }
}

fn python(site: &Site, address: SocketAddr, path: &str, _: &str) -> Seen {
    let done = Finished::run(
        Command::new(tool("python3"))
            .args(["-c", SCRIPT])
            .arg(site.gateway.prepared.dir.path().join("ca.pem"))
            .args([&address.port().to_string(), path, &ALICE.basic()]),
    );
    assert_eq!(done.code, Some(0), "{done:?}");
    let (word, length) = done.stdout.trim().split_once(' ').unwrap();
    Seen {
        whole: word == "whole",
        length: length.parse().unwrap(),
    }
}

/// Prints `whole` or `broken`, and how many bytes came.
const SCRIPT: &str = r#"
import http.client, socket, ssl, sys
ca, port, path, credential = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca)
connection = http.client.HTTPSConnection("connect.test", context=tls, timeout=20)
connection.sock = tls.wrap_socket(
    socket.create_connection(("127.0.0.1", int(port)), timeout=20), server_hostname="connect.test")
length = 0
try:
    connection.request("GET", path, headers={"Authorization": credential})
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    while data := answer.read(100):
        length += len(data)
    expected = answer.getheader("Content-Length")
    # http.client reports a missing chunk itself, and leaves a length to its caller.
    whole = expected is None or int(expected) == length
except (http.client.HTTPException, OSError):
    whole = False
print("whole" if whole else "broken", length)
"#;
