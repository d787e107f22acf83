//! Frames, written by hand.

use gateway_tests::harness::Client;

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// A frame of at most 125 bytes, as a server sends it.
pub(crate) fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[first, payload.len() as u8], payload].concat()
}

/// Likewise as a client sends it.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    let mut frame = vec![first, 0x80 | payload.len() as u8];
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(p, k)| p ^ k));
    frame
}

/// A close frame's payload.
pub(crate) fn status(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Reads a frame of at most 125 bytes: its first byte and payload.
#[track_caller]
pub(crate) fn read(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.raw(2);
    assert!(head[1] < 126, "{head:x?}");
    (head[0], client.raw(head[1].into()))
}

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
