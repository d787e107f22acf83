//! The guard where gateway and Connect are on hosts of their own, against the built program: on
//! the gateway's host only the gateway gets out to Connect, on Connect's host only the addresses
//! that are listed get in. Every refusal stands beside the same attempt without a guard, which
//! succeeds.
//!
//! Hosts are network namespaces, joined by veth. The tests need root, and say so where they have
//! to skip.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod attack;
mod closing;
mod getting_in;
mod getting_out;
mod hole;
mod relays;
mod split;
