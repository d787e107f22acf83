//! The lane table (domain §3), cell by cell, and the answers that the gateway itself gives.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod discovery;
mod mounts;
mod replies;
mod site;
mod table;
