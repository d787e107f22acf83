//! The guard on one host, against the built program: who gets in, who does not, and by which of
//! its programs. Every refusal stands beside the same attempt without a guard, which succeeds.
//!
//! Each test has a host of its own: a network namespace and cgroups. They need root, and say so
//! where they have to skip.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod addresses;
mod attack;
mod audit;
mod beyond;
mod closing;
mod crossing;
mod detours;
mod exceptions;
mod gateway;
mod means;
mod older;
mod packets;
mod reassembly;
mod receivers;
mod relays;
mod repair;
mod site;
mod steering;
mod subflows;
mod tuples;
mod twins;
mod whole;
