//! HTTP/3, with a client of our own: what HTTP/1.1 promises holds here, and what QUIC adds is bounded.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod exchanges;

use gateway_tests::harness::{Backend, Gateway, Setup};

/// A gateway that serves HTTP/3, before that back-end.
fn gateway(backend: &Backend) -> Gateway {
    setup(backend).start()
}

fn setup(backend: &Backend) -> Setup {
    Setup::connect(backend).listener_line("http3 = true")
}
