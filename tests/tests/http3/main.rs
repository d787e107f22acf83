//! HTTP/3, with a client of our own: what HTTP/1.1 promises holds here, and what QUIC adds is bounded.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod bombs;
mod bounds;
mod browsers;
mod bystander;
mod curl;
mod endings;
mod exchanges;
mod floods;
mod h3_crate;
mod hostile;
mod large;
mod libraries;
mod narrow;
mod pressure;
mod said;
mod storms;
mod tickets;

use gateway_tests::harness::{Backend, Gateway, Setup};

/// A gateway that serves HTTP/3, before that back-end.
fn gateway(backend: &Backend) -> Gateway {
    setup(backend).start()
}

fn setup(backend: &Backend) -> Setup {
    Setup::connect(backend).listener_line("http3 = true")
}

// RFC 9114 §8.1, RFC 9204 §6.
const NO_ERROR: u64 = 0x100;
const INTERNAL_ERROR: u64 = 0x102;
const STREAM_CREATION_ERROR: u64 = 0x103;
const CLOSED_CRITICAL_STREAM: u64 = 0x104;
const FRAME_UNEXPECTED: u64 = 0x105;
const EXCESSIVE_LOAD: u64 = 0x107;
const ID_ERROR: u64 = 0x108;
const SETTINGS_ERROR: u64 = 0x109;
const MISSING_SETTINGS: u64 = 0x10a;
const REQUEST_INCOMPLETE: u64 = 0x10d;
const MESSAGE_ERROR: u64 = 0x10e;
const QPACK_DECOMPRESSION_FAILED: u64 = 0x200;
const QPACK_ENCODER_STREAM_ERROR: u64 = 0x201;
const QPACK_DECODER_STREAM_ERROR: u64 = 0x202;
