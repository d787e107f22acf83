//! What a drain does to connections of HTTP/3.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use gateway_tests::harness::{
    ALICE, Backend, CONNECT, HANDSHAKE, Http3, Http3Stream, Request, SWITCHING, poll,
};

use crate::narrow::Narrow;
use crate::{NO_ERROR, gateway, setup};

#[test]
fn a_drain_closes_tunnels_near_its_end() {
    let (backend, told) = telling();
    let mut gateway = setup(&backend).line("gateway", "drain = \"4s\"").start();
    let client = gateway.http3();
    let mut tunnel = open(&client);
    let begun = Instant::now();
    gateway.terminate();
    gateway.said(&["draining"]);
    // Until then it works as before, and nothing else is taken.
    let text = masked(0x81, b"still at work");
    tunnel.send_data(&text);
    let mut late = client.begin(&Request::get("/late").by(&ALICE));
    late.finish();
    assert!(late.is_rejected());
    assert_eq!(tunnel.exactly(RESTARTS.len()), RESTARTS);
    assert!(begun.elapsed() > Duration::from_millis(1900), "too soon");
    let answer = masked(0x88, &RESTARTS[2..]);
    tunnel.send_data(&answer).finish();
    tunnel.expect_end();
    assert_eq!(client.closed(), NO_ERROR);
    let came = told.recv_timeout(poll::patience()).unwrap();
    assert_eq!(came, [text, answer].concat());
    assert_eq!(gateway.wait().code(), Some(0));
    let line = gateway.logged("the tunnel", |line| line["path"] == "/ws");
    assert_eq!(line["error"], "closed, because the gateway drains");
    assert!(!gateway.process_log().contains("drain time is over"));
}

/// Two of one connection: who does not answer its close frame harms nobody else.
#[test]
fn a_drain_cuts_a_tunnel_that_does_not_close() {
    let (backend, told) = telling();
    let mut gateway = setup(&backend).line("gateway", "drain = \"5s\"").start();
    let client = gateway.http3();
    let mut good = open(&client);
    let mut mute = open(&client);
    gateway.terminate();
    for tunnel in [&mut good, &mut mute] {
        assert_eq!(tunnel.exactly(RESTARTS.len()), RESTARTS);
    }
    let answer = masked(0x88, &RESTARTS[2..]);
    good.send_data(&answer).finish();
    good.expect_end();
    // At the latest when the drain is over.
    assert!(mute.read().is_err());
    let mut came = [(); 2].map(|()| told.recv_timeout(poll::patience()).unwrap());
    came.sort();
    assert_eq!(came, [vec![], answer]);
    assert_eq!(gateway.wait().code(), Some(0));
}

/// What QUIC took of an answer is not yet with the client; nor is it given up because the network
/// carries nothing for a while.
#[test]
fn a_network_that_fails_for_a_while_loses_no_answer_in_a_drain() {
    let backend = Backend::scripted(|conn| {
        while conn.request().is_some() {
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
            conn.send(&[b'z'; 300_000]);
        }
    });
    let mut gateway = gateway(&backend);
    let network = Narrow::to(gateway.address(), 250_000);
    let client = Http3::connect(network.address, gateway.http3_tls(), CONNECT);
    let mut stream = client.begin(&Request::get("/").by(&ALICE));
    stream.finish();
    // For the gateway it is over.
    gateway.logged("the request", |line| line["path"] == "/");
    network.carries(false);
    gateway.terminate();
    gateway.said(&["draining"]);
    std::thread::sleep(Duration::from_secs(3));
    network.carries(true);
    let answer = stream.read_answer().unwrap().expect(200);
    assert_eq!(answer.body.len(), 300_000);
    assert_eq!(client.closed(), NO_ERROR);
    assert!(gateway.wait().success());
}

/// A back-end that takes a handshake, and tells what came until its end.
fn telling() -> (Backend, Receiver<Vec<u8>>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let backend = Backend::scripted(move |conn| {
        if conn.head().is_some() {
            conn.send(SWITCHING);
            let came = conn.read_out();
            // The test may be over.
            let _over = tell.lock().unwrap().send(came);
        }
    });
    (backend, told)
}

fn open(client: &Http3) -> Http3Stream<'_> {
    let mut stream = client.begin(&Request::get("/ws").by(&ALICE).fields(HANDSHAKE));
    stream.read_answer().unwrap().expect(200);
    stream
}

/// A frame of a client's (RFC 6455 §5.2), whose mask changes nothing.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    [
        &[first, 0x80 | payload.len() as u8, 0, 0, 0, 0][..],
        payload,
    ]
    .concat()
}

/// A close frame: 1001, and why.
const RESTARTS: &[u8] = b"\x88\x16\x03\xe9the gateway restarts";
