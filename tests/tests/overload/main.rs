//! More than there is room for, of everything: connections, descriptors, log space; a clock that
//! jumps, and a process that stands still. Who was admitted is served on, who was not knows at
//! once, and when it is over the gateway is as before, by itself.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod clock;
mod descriptors;
mod http3;
mod log_disk;
mod memory;
mod pauses;
mod storm;

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use gateway_tests::harness::{ALICE, Client, Gateway, Request, poll, tcp_from};

/// A connection with a request behind it: taken by all means.
fn admitted(gateway: &Gateway) -> Client {
    let mut client = gateway.client_over(next_tcp(gateway));
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    client
}

/// A connection that is taken, as soon as there is a place: then nothing comes for a while.
fn next_tcp(gateway: &Gateway) -> TcpStream {
    poll::until("a connection is taken", || {
        let mut tcp = connect(gateway, 1).ok()?;
        (!is_refused(&mut tcp, Duration::from_millis(30))).then_some(tcp)
    })
}

/// From 127.0.0.`number`: whoever is refused may see it before the connection.
fn connect(gateway: &Gateway, number: u8) -> io::Result<TcpStream> {
    let connected = tcp_from([127, 0, 0, number].into(), gateway.address());
    if let Err(error) = &connected {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    connected
}

/// Whether it is reset within that time.
fn is_refused(tcp: &mut TcpStream, within: Duration) -> bool {
    tcp.set_read_timeout(Some(within)).unwrap();
    let error = tcp.read(&mut [0]).expect_err("nothing is sent unasked");
    tcp.set_read_timeout(Some(poll::patience())).unwrap();
    match error.kind() {
        ErrorKind::ConnectionReset => true,
        ErrorKind::WouldBlock => false,
        _ => panic!("{error}"),
    }
}
