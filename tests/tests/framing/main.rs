//! How messages are framed and when bytes move: keep-alive, interim answers, chunks, uploads and
//! tunnels (domain §4.2, §4.3).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod endings;
mod held_back;
mod messages;
mod pressure;
mod streaming;
mod tunnels;
mod uploads;
