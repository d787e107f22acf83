//! What a request may take: of the head, the body, time, the back-end's slots, and how often. Each
//! limit has its answer and its counter, and leaves everybody else alone.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod bodies;
mod heads;
mod others;
mod own;
mod queue;
mod rates;
mod slow_readers;
mod slow_senders;
mod steady_readers;
