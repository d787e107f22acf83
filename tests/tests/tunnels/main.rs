//! WebSockets: frames pass unchanged, and what the gateway itself says stands between them: its
//! pings, and the close frame of a tunnel that it ends.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod endings;
mod frame;
mod libraries;
mod origins;
mod pings;

use gateway_tests::harness::{ALICE, Client, Conn, Gateway, HANDSHAKE, Request};

/// Opens a WebSocket with a password.
#[track_caller]
fn open(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(&Request::get("/ws").by(&ALICE).fields(HANDSHAKE).bytes());
    assert_eq!(client.answer().status, 101);
    client
}

/// Takes a handshake at the back-end; false if none comes.
fn accept(conn: &mut Conn) -> bool {
    conn.head().is_some()
        && conn.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
}
