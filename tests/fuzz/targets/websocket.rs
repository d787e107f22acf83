//! A WebSocket's frames end at the same places however the bytes arrive; nothing goes on changed,
//! and nothing is lost but the pongs with the gateway's mark.
//!
//! Input: one byte, the size of the pieces; then the stream.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::websocket::{Frames, FromClient, Mark};

fuzz_target!(|data: &[u8]| {
    let Some((size, stream)) = data.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    assert_eq!(follow(stream, size), follow(stream, stream.len().max(1)));
    assert_eq!(follow(stream, size), follow(stream, 1));

    assert_eq!(relay(stream, size, None), stream);
    let passed = relay(stream, size, Some(MARK));
    assert_eq!(passed, relay(stream, 1, Some(MARK)));
    let dropped = stream.len() - passed.len();
    assert_eq!(
        dropped % 14,
        0,
        "only whole pongs with our mark are dropped"
    );
    if !stream.windows(2).any(|pair| pair == [0x8a, 0x88]) {
        assert_eq!(passed, stream);
    }
});

/// Every place at which a frame may be inserted, up to the end of a piece, and what is known then.
fn follow(stream: &[u8], size: usize) -> (Vec<usize>, bool, u64) {
    let mut frames = Frames::default();
    let mut at = Vec::new();
    let mut passed = 0;
    for mut piece in stream.chunks(size) {
        while !piece.is_empty() {
            let used = frames.pass_frame(piece);
            assert!(used > 0 && used <= piece.len());
            passed += used;
            piece = &piece[used..];
            if frames.can_insert() {
                at.push(passed);
            }
        }
    }
    (at, frames.is_closed(), frames.data())
}

fn relay(stream: &[u8], size: usize, mark: Option<Mark>) -> Vec<u8> {
    let mut from = FromClient::new(mark);
    let mut buffer = BytesMut::new();
    let mut passed = Vec::new();
    for piece in stream.chunks(size) {
        buffer.extend_from_slice(piece);
        while let Some(bytes) = from.take(&mut buffer) {
            passed.extend_from_slice(&bytes);
        }
        assert!(buffer.len() < 14, "more is kept than a pong");
    }
    if let Some(bytes) = from.take_rest(&mut buffer) {
        passed.extend_from_slice(&bytes);
    }
    passed
}

const MARK: Mark = Mark(*b"own mark");
