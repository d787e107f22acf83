//! What both ends say in a WebSocket, and what each checks of it: that it comes unchanged, from the
//! right peer, and only once there is a tunnel.

use super::backend::Backends;
use super::{Random, fill};

/// A WebSocket handshake's sequel.
pub(super) struct Upgrade {
    /// All that the client says in the tunnel.
    pub(super) up: Vec<u8>,
    /// Whether it says it without waiting for the 101.
    pub(super) eager: bool,
}

impl Upgrade {
    pub(super) fn random(tag: usize, smuggled: &str, random: &mut Random) -> Self {
        let mut up = Vec::new();
        if random.once_in(4) {
            // What a gateway that knows no WebSocket would take for the next request.
            up.extend_from_slice(smuggled.as_bytes());
        }
        for at in 0..1 + random.below(4) {
            let length = random.pick(LENGTHS);
            let key = [tag as u8, at as u8, 7, 0];
            frame(Some(key), &fill(smuggled, length), &mut up);
        }
        Self {
            up,
            eager: random.once_in(2),
        }
    }
}

/// All that the back-end says in the tunnel of a request.
pub(super) fn down(tag: usize) -> Vec<u8> {
    let mut down = Vec::new();
    for at in 0..1 + tag % 3 {
        let length = LENGTHS[(tag + at) % LENGTHS.len()];
        frame(None, &Backends::payload(tag, length), &mut down);
    }
    down
}

/// A binary frame (RFC 6455 §5.2) with payload as it looks on the wire: behind a key, masked.
fn frame(key: Option<[u8; 4]>, payload: &[u8], out: &mut Vec<u8>) {
    let masked = if key.is_some() { 0x80 } else { 0 };
    out.push(0x82);
    match payload.len() {
        short @ ..=125 => out.push(masked | short as u8),
        middle @ ..=0xffff => {
            out.push(masked | 126);
            out.extend((middle as u16).to_be_bytes());
        }
        long => {
            out.push(masked | 127);
            out.extend((long as u64).to_be_bytes());
        }
    }
    out.extend(key.iter().flatten());
    out.extend_from_slice(payload);
}

/// Of payloads: one of each form of a length, and what fills the buffers in between.
const LENGTHS: &[usize] = &[0, 5, 125, 126, 700, 9_000, 66_000];
