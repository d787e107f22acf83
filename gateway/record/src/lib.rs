//! Sans-io TLS 1.3 (RFC 8446), server side: rustls performs the handshake, the records that follow
//! are ours. They are opened in the buffer that they were received in and sealed in the one that
//! is written, where rustls 0.23 copies each payload twice.
//!
//! [`Handshake`] comes first and ends in a [`Session`]. Bytes in, bytes out: nothing here knows
//! sockets, clocks or randomness.

#![forbid(unsafe_code)]

mod fault;
mod handshake;
mod key;
mod session;
#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use handshake::{Handshake, HandshakeError, Step};
pub use key::{Key, KeyError, Opened};
pub use session::{KeySchedule, Received, SealError, Session};

/// So many received bytes, records and all, must be enough for any message of a client's handshake:
/// what stock rustls buffers. It discards nothing of a message that is not whole, nor its padding.
pub const MAX_HANDSHAKE: usize = 0xffff;

/// The most payload of one record, in bytes (RFC 8446 §5.1).
pub const MAX_PAYLOAD: usize = 1 << 14;

/// What sealing adds to a payload, in bytes: header, content type, tag (RFC 8446 §5.2).
pub const OVERHEAD: usize = HEADER + 1 + TAG;

/// Room for so many full records in one write, and for a key update before them, in bytes.
pub const fn room_for(records: usize) -> usize {
    records * (MAX_PAYLOAD + OVERHEAD) + KEY_UPDATE.len() + OVERHEAD
}

/// `TLSCiphertext` up to its length (RFC 8446 §5.2).
const HEADER: usize = 5;

/// The authentication tag of each cipher that TLS 1.3 has here.
const TAG: usize = 16;

/// A `KeyUpdate` that asks for none (RFC 8446 §4.6.3).
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];
