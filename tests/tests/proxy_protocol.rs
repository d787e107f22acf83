//! PROXY protocol in front of TLS: from the proxies that are listed, and from nobody else.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};

use gateway_tests::harness::{ALICE, Backend, Client, Gateway, Request, Setup};
use socket2::SockRef;

#[test]
fn the_client_that_the_proxy_names_is_the_client() {
    let backend = Backend::recording();
    let gateway = behind_proxy(&backend).start();
    for (header, client) in [
        (v1("192.0.2.7"), "192.0.2.7"),
        (v1("2001:db8::7"), "2001:db8::7"),
        (v2("192.0.2.8", b""), "192.0.2.8"),
        (v2("2001:db8::8", b""), "2001:db8::8"),
        // An IPv4 client of a dual-stack proxy.
        (v2("::ffff:192.0.2.9", b""), "192.0.2.9"),
        // A TLV (unique id), and the longest header.
        (v2("192.0.2.10", b"\x05\0\x02id"), "192.0.2.10"),
        (v2("192.0.2.11", &[0; 536 - 16 - 12]), "192.0.2.11"),
        // The proxy's own connection, and one of which it knows nothing.
        (b"PROXY UNKNOWN\r\n".to_vec(), PROXY),
        (b"PROXY UNKNOWN 1::1 1::2 1 2\r\n".to_vec(), PROXY),
        (local(), PROXY),
    ] {
        let mut connection = announced(&gateway, &header);
        for target in ["/one", "/two"] {
            connection.ask(&Request::get(target).by(&ALICE)).expect(200);
            let received = backend.one();
            assert_eq!(received.field("x-forwarded-for"), Some(client));
            gateway.logged(client, |line| {
                line["path"] == target && line["client"] == client
            });
        }
    }
    expect_faults(&gateway, 0);
}

#[test]
fn a_header_may_come_in_any_pieces() {
    let backend = Backend::recording();
    let gateway = behind_proxy(&backend).start();
    let headers = [
        v1("192.0.2.7"),
        v1("2001:db8::7"),
        v2("192.0.2.7", b"\x04\0\0"),
    ];
    for header in &headers {
        for size in [1, 7, 15, 16] {
            let mut tcp = gateway.tcp_from(PROXY);
            for piece in header.chunks(size) {
                tcp.write_all(piece).unwrap();
            }
            let mut client = gateway.client_over(tcp);
            client.ask(&Request::get("/").by(&ALICE)).expect(200);
        }
        // One segment with the beginning of TLS: nothing of that may be lost.
        let mut tcp = gateway.tcp_from(PROXY);
        let socket = tcp.try_clone().unwrap();
        SockRef::from(&socket).set_tcp_cork(true).unwrap();
        tcp.write_all(header).unwrap();
        let mut client = gateway.client_over(tcp);
        SockRef::from(&socket).set_tcp_cork(false).unwrap();
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
}

#[test]
fn a_proxy_must_say_whose_connection_it_is() {
    let backend = Backend::recording();
    let gateway = behind_proxy(&backend)
        .line("timeouts", "head = \"300ms\"")
        .start();
    let mut too_long = v2("192.0.2.7", b"");
    too_long[14..16].copy_from_slice(&521_u16.to_be_bytes());
    let long_line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    let good = v1("192.0.2.7");
    let mut expected = 0;
    for bytes in [
        // TLS at once.
        b"\x16\x03\x01\x02\x00\x01\x00".as_slice(),
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n",
        b"PROXY TCP4 192.0.2.7, 192.0.2.8 1 2\r\n",
        long_line.as_bytes(),
        &too_long,
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0",
        // Silence within it, for longer than a head may take.
        b"PROXY TCP4 192",
        b"",
    ] {
        let mut tcp = gateway.tcp_from(PROXY);
        tcp.write_all(bytes).unwrap();
        expect_nothing(&mut tcp);
        expected += 1;
        expect_faults(&gateway, expected);
        let mut client = announced(&gateway, &good);
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
    // It ends within the header. A connection that ends before is a health check.
    let mut tcp = gateway.tcp_from(PROXY);
    tcp.write_all(b"PROXY ").unwrap();
    tcp.shutdown(std::net::Shutdown::Write).unwrap();
    expect_nothing(&mut tcp);
    expect_faults(&gateway, expected + 1);
    let mut tcp = gateway.tcp_from(PROXY);
    tcp.shutdown(std::net::Shutdown::Write).unwrap();
    expect_nothing(&mut tcp);
    expect_faults(&gateway, expected + 1);
    assert!(backend.take().len() >= 9);
}

#[test]
fn nobody_else_names_a_client() {
    let backend = Backend::recording();
    let gateway = behind_proxy(&backend).start();
    let mut expected = 0;
    for header in [v1("192.0.2.7"), v2("192.0.2.7", b""), local()] {
        let mut tcp = gateway.tcp_from("127.0.0.1");
        tcp.write_all(&header).unwrap();
        expect_nothing(&mut tcp);
        expected += 1;
        expect_faults(&gateway, expected);
        // Who is not listed needs no header, and is the client.
        let mut client = gateway.client_over(gateway.tcp_from("127.0.0.1"));
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
        assert_eq!(backend.one().field("x-forwarded-for"), Some("127.0.0.1"));
    }
    gateway.said(&["proxy_protocol_from"]);
}

#[test]
fn a_header_counts_once_and_never_within_tls() {
    let backend = Backend::recording();
    let gateway = behind_proxy(&backend).start();
    let twice = [v1("192.0.2.7"), v1("192.0.2.8")].concat();
    let mut tcp = gateway.tcp_from(PROXY);
    tcp.write_all(&twice).unwrap();
    // The second is no TLS.
    let mut rest = Vec::new();
    let _ = tcp.read_to_end(&mut rest);
    gateway.counted("connect_gateway_tls_handshake_failures_total", &[], 1.0);
    let mut client = announced(&gateway, &v1("192.0.2.7"));
    client.send(&v1("192.0.2.8"));
    client.send(&Request::get("/").by(&ALICE).bytes());
    client.answer().expect(400);
    assert!(backend.take().is_empty());
}

#[test]
fn the_named_client_counts_for_the_limit() {
    let backend = Backend::recording();
    let gateway = behind_proxy(&backend)
        .line("limits", "connections_per_address = 2")
        .start();
    // One /64, whichever way it is told; and as many of the proxy's own as it likes to have.
    let mut taken = [
        announced(&gateway, &v1("2001:db8::1")),
        announced(&gateway, &v2("2001:db8::ffff:0:0:1", b"")),
    ];
    let mut beyond = gateway.tcp_from(PROXY);
    beyond.write_all(&v2("2001:db8::2", b"")).unwrap();
    expect_nothing(&mut beyond);
    let labels = [("reason", "address")];
    gateway.counted("connect_gateway_connections_refused_total", &labels, 1.0);
    for client in ["2001:db8:0:1::1", "192.0.2.7", "192.0.2.8"] {
        let mut other = announced(&gateway, &v1(client));
        other.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
    for client in &mut taken {
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
    expect_faults(&gateway, 0);
}

fn behind_proxy(backend: &Backend) -> Setup {
    let line = format!("proxy_protocol_from = [\"{PROXY}\"]");
    Setup::connect(backend)
        .listener_line(&line)
        .line("gateway", "workers = 2")
}

fn announced(gateway: &Gateway, header: &[u8]) -> Client {
    let mut tcp = gateway.tcp_from(PROXY);
    tcp.write_all(header).unwrap();
    gateway.client_over(tcp)
}

fn v1(client: &str) -> Vec<u8> {
    let family = if client.contains(':') { "TCP6" } else { "TCP4" };
    format!("PROXY {family} {client} {client} 40000 443\r\n").into_bytes()
}

fn v2(client: &str, tlvs: &[u8]) -> Vec<u8> {
    let (family, address) = match client.parse().unwrap() {
        IpAddr::V4(v4) => (0x11, v4.octets().to_vec()),
        IpAddr::V6(v6) => (0x21, v6.octets().to_vec()),
    };
    let block = [&address, &address, &b"\x9c\x40\x01\xbb"[..], tlvs].concat();
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[0x21, family], &length, &block].concat()
}

#[test]
fn check_warns_of_proxies_that_any_local_program_could_be() {
    let backend = Backend::recording();
    for (net, warned) in [
        ("127.0.0.1", true),
        ("127.0.0.9", true),
        ("0.0.0.0/1", true),
        ("::1", true),
        ("::ffff:127.0.0.0/104", true),
        ("10.0.0.0/8", false),
        ("2001:db8::1", false),
    ] {
        let prepared = Setup::connect(&backend)
            .line(
                "gateway",
                &format!("trusted_proxies = [\"192.0.2.1\", \"{net}\"]"),
            )
            .listener_line(&format!("proxy_protocol_from = [\"{net}\"]"))
            .prepare();
        let checked = prepared.finish(&["check", "--offline"]);
        assert_eq!(checked.code, Some(0), "{checked:?}");
        let net = match net {
            "::ffff:127.0.0.0/104" => "127.0.0.0/8",
            net => net,
        };
        for key in ["gateway.trusted_proxies", "listener[0].proxy_protocol_from"] {
            let warning = format!(
                "warning: {key} has {net}: every program on this host can name itself any client\n"
            );
            assert_eq!(checked.stdout.contains(&warning), warned, "{checked:?}");
        }
    }
}

fn local() -> Vec<u8> {
    [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat()
}

/// Fails the test unless so many connections were refused for their header.
#[track_caller]
fn expect_faults(gateway: &Gateway, count: u32) {
    let name = "connect_gateway_proxy_protocol_errors_total";
    let labels = [("listener", "public")];
    // A connection ends before it is counted.
    let counted = gateway.counted(name, &labels, count.into());
    assert_eq!(counted, f64::from(count));
}

/// The connection ends without an answer.
#[track_caller]
fn expect_nothing(tcp: &mut TcpStream) {
    let mut byte = [0];
    match tcp.read(&mut byte) {
        Ok(0) => {}
        Ok(_) => panic!("an answer: {byte:?}"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

const PROXY: &str = "127.0.0.9";

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
